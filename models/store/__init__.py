"""What stands between the models and the outside: snapshots from the lake, the registry of models.

Only here, and in the step `models.fine_tune`, does the model meet a table or MLflow; the rest of `models` is arrays.
"""
