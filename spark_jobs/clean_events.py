"""Cleans the logs of a run's days: events, rejects with their reasons, the catalogue.

    python -m spark_jobs.clean_events --start 2017-12-23 --end 2017-12-24

Every record of the logs becomes one row of `events`, one row of `events_rejected` with its first reason, or is
counted as a duplicate; `ingest_counts` keeps the balance of each day. `ds` is the day whose file brought the record,
or in an export of many days the record's own. Running it again replaces exactly the days [start, end) and leaves the
same rows.

`--allow-empty` lets days without records pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.cli import Days, log
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Settings
from contracts.tables import EVENTS, EVENTS_REJECTED, INGEST_COUNTS
from spark_jobs.cluster.step import main
from spark_jobs.ingest import items
from spark_jobs.ingest.deliveries import land_delivered
from spark_jobs.ingest.events import CLEAN, DUPLICATE, FATE, REJECTED, classified
from spark_jobs.ingest.exports import counted
from spark_jobs.ingest.landing import Landing

Counts = tuple[date, int, int, int, int, int]
"""A row of `ingest_counts`."""


def run(spark: SparkSession, settings: Settings, arguments: Days) -> None:
    """Reads, classifies, checks the balance and writes; nothing of the days is written before the check.

    The events come last, so that a run that is killed on the way leaves no events without their counts, and
    run again ends in the same state.

    Raises:
        InputError: a file is missing, unreadable or changed during the run.
    """
    interval = arguments.interval
    landing = land_delivered(settings, interval, allow_empty=arguments.allow_empty)
    landing = counted(spark, settings, interval, landing, allow_empty=arguments.allow_empty)
    items.run(spark, settings, interval, landing)
    records = classified(spark, settings, interval, landing).persist()
    try:
        counts = balance(records, landing)
        log_counts(counts)
        days = f"ds >= '{interval.start}' AND ds < '{interval.end}'"
        rejected = records.where(F.col(FATE) == REJECTED).hint("rebalance", C.DS)
        lake.replace(rejected, settings, EVENTS_REJECTED, days)
        lake.replace_small(settings, INGEST_COUNTS, counts, days)
        events = records.where(F.col(FATE) == CLEAN).hint("rebalance", C.DS)
        lake.replace(events.sortWithinPartitions(C.DS, C.USER_ID, C.EVENT_TIME, C.EVENT_ID), settings, EVENTS, days)
    finally:
        records.unpersist()


def balance(records: DataFrame, landing: Landing) -> list[Counts]:
    """Rows of `ingest_counts`.

    Raises:
        InputError: a day has other records than were counted when its files were checked.
    """
    sums = {
        row[C.DS]: row
        for row in records.groupBy(C.DS)
        .agg(*(F.count_if(F.col(FATE) == fate).alias(fate) for fate in (CLEAN, REJECTED, DUPLICATE)))
        .collect()
    }
    rows = []
    for day, files in landing.events.items():
        row = sums.get(day)
        clean, rejected, duplicates = (row[CLEAN], row[REJECTED], row[DUPLICATE]) if row else (0, 0, 0)
        raw = landing.raw[day]
        if raw != clean + rejected + duplicates:
            raise InputError(
                f"The log of {day} does not balance: {raw} records in its files, but {clean} clean + {rejected} "
                f"rejected + {duplicates} duplicates. Did a file change during the run? Run it again."
            )
        rows.append((day, len(files), raw, clean, rejected, duplicates))
    return rows


def log_counts(counts: Sequence[Counts], shown: int = 7) -> None:
    """Logs the balance of the last days, and of all."""
    line = "%-10s %6s %10s %10s %9s %10s"
    log.info(line, "day", "files", "raw", "clean", "rejected", "duplicates")
    if len(counts) > shown:
        log.info("… %d days before", len(counts) - shown)
    for row in counts[-shown:]:
        log.info(line, *row)
    if len(counts) > 1:
        log.info(line, "all", *(sum(column) for column in zip(*(row[1:] for row in counts), strict=True)))


if __name__ == "__main__":
    main("clean_events", __doc__, Days, run)
