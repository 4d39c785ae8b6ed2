"""What the ranker reads of a candidate: groups of named features, side by side.

A feature is a name with its values (`models.features.table.Feature`); a group is a module here that gives a list of
them, and `models.features.rows` puts the groups together. No column is known by its position.
"""
