"""What happens: one module a step, named after its task, and the commands that show what came of it.

A step reads, transforms and writes: ``run(spark, settings, arguments)``, or without ``spark`` where it needs none.
What steps share stands behind them: `ingest`, `scoring`, `quality`, `reporting`, and `cluster` for Spark itself. Steps
do not import each other.
"""
