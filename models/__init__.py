"""What learns: item tower, user encoder, candidate generation, ranker, kernel, metrics; functions over arrays.

Nothing in here knows Spark, Airflow or the steps, so that it can be used from a notebook with arrays alone. The only
modules that read the lake or the registry are those of `models.store` and the step `models.fine_tune`.
"""
