"""What all agree on: columns, tables, settings, errors, intervals, states, arguments, and the lake.

Here lives what every other package may import: light to import (Spark, torch and Arrow are imported inside the
functions that need them), and knowing nothing of any of them.
"""
