"""Exports: files of many days, of whose records each tells its own day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import Settings
from spark_jobs.ingest.events import all_records
from spark_jobs.ingest.landing import Landing, check_days


def counted(
    spark: SparkSession, settings: Settings, interval: Interval, landing: Landing, *, allow_empty: bool = False
) -> Landing:
    """The landing with the records of each of the run's days; unchanged where the paths of the files tell the days.

    Raises:
        InputError: the run's days have no records, or the export has other records than when it was inspected.
    """
    if not landing.export:
        return landing
    days = days_of(spark, settings, landing)
    made = of_days(landing, interval, days)
    check_days(settings, interval, made, days, allow_empty=allow_empty)
    return made


def of_days(landing: Landing, interval: Interval, days: Mapping[date, int]) -> Landing:
    """The landing of an export that has these records on these days, for a run that takes those of ``interval``."""
    return replace(
        landing,
        raw={day: days.get(day, 0) for day in interval.days},
        events={day: landing.export if day in days else [] for day in interval.days},
        first_day=min(days, default=None),
    )


def days_of(spark: SparkSession, settings: Settings, landing: Landing) -> dict[date, int]:
    """How many records of an export each day has; those whose time cannot be read are the first day's.

    Raises:
        InputError: they are more or fewer than were counted when the files were inspected, or none has a time.
    """
    rows = all_records(spark, settings, landing).groupBy(C.DS).agg(F.count("*").alias("records")).collect()
    records: dict[date | None, int] = {row[C.DS]: row["records"] for row in rows}
    expected, found = sum(file.records for file in landing.export), sum(records.values())
    if expected != found:
        raise InputError(
            f"{landing.mapping.logs.path} does not balance: {expected} records in its files, but {found} were read. "
            "Did a file change during the run? Run it again."
        )
    undated = records.pop(None, 0)
    days = {day: count for day, count in sorted(records.items()) if day is not None}
    if undated and not days:
        event = landing.mapping.event
        told = f"event.time_format = {event.time_format!r}" if event.time_format else "ISO 8601 or seconds since 1970"
        raise InputError(
            f"None of the {undated} records in {landing.mapping.logs.path} has a time that can be read: "
            f"event.event_time = {event.event_time!r} in mapping.toml, read as {told}. Correct one of the two."
        )
    if undated:
        first = next(iter(days))
        days[first] += undated
    return days
