"""Takes the logs of a test into its tables the way a night does, but without the gate's judgement."""

from __future__ import annotations

from contracts.cli import Days
from spark_jobs import clean_events
from spark_jobs.ingest.acceptance import accept, batch, settle
from tests.lakes import SparkLake


def take_in(tables: SparkLake, days: Days) -> None:
    """Cleans the days, and takes in what the gate would pass."""
    clean_events.run(tables.spark, tables.settings, days)
    night = days.interval.ds
    for each in days.batches:
        accept(tables.spark, tables.settings, night, batch(tables.spark, tables.settings, night, each))
    settle(tables.settings, night, days.batches)
