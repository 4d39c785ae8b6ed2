"""What ingestion would make of the logs: counts by day, fate and reason, with examples. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.mapping import load_mapping
from contracts.settings import Settings
from spark_jobs.ingest import exports
from spark_jobs.ingest.events import CLEAN, DUPLICATE, REASONS, REJECTED, REPEATED, classified, not_before
from spark_jobs.ingest.items import known_items
from spark_jobs.ingest.landing import Landing, land, log_paths

EXAMPLES = 3
"""So many records of each reason are shown."""

AFTER_ALL = Interval.of_night(date.max - timedelta(days=2))
"""A night after all that an export may have: which days it has, only its records say."""

FATES = (CLEAN, REJECTED, DUPLICATE)


@dataclass(frozen=True)
class Rejects:
    """The records of one reason."""

    records: int
    examples: tuple[tuple[str, str], ...]  # file and raw of the first ones


@dataclass(frozen=True)
class Profile:
    """What ingestion would make of some days."""

    first_day: date  # of the logs
    last_day: date
    days: dict[date, dict[str, int]]  # records by fate; of each day of the interval that the logs have
    reasons: dict[str, Rejects]  # in the order of REASONS


def profile(spark: SparkSession, settings: Settings, interval: Interval | None = None) -> Profile:
    """What `clean_events` would make of the days of ``interval``, by its own code; of all days of the logs for None.

    Raises:
        InputError: the logs cannot be read as the mapping says, or have no day.
        SettingsError: the mapping is wrong.
    """
    exist, landing, chosen = _landed(spark, settings, interval)
    known = known_items(spark, settings, chosen, landing)
    records = not_before(classified(spark, settings, chosen, landing, known), spark, settings, chosen).persist()
    try:
        days = {day: dict.fromkeys(FATES, 0) for day in chosen.days if landing.raw[day]}
        reasons: dict[str, int] = {}
        for row in records.groupBy(C.DS, C.FATE, C.REASON).agg(F.count("*").alias("records")).collect():
            fate = DUPLICATE if row[C.FATE] == REPEATED else row[C.FATE]
            days[row[C.DS]][fate] += row["records"]
            if fate == REJECTED:
                reasons[row[C.REASON]] = reasons.get(row[C.REASON], 0) + row["records"]
        examples = _examples(records)
    finally:
        records.unpersist()
    rejects = {name: Rejects(reasons[name], examples[name]) for name in REASONS if name in reasons}
    return Profile(min(exist), max(exist), days, rejects)


def days_in_paths(settings: Settings) -> list[date]:
    """The days that the paths of the log files tell, in order; none for an export, of which only the records know.

    Raises:
        InputError: there are no logs.
    """
    logs = load_mapping(settings).logs
    by_day, export = log_paths(logs)
    if not by_day and not export:
        raise InputError(
            f"No log has arrived: {logs.path} has no file of a day ({logs.days}). Deliver a log there, or let "
            "`nightshift init LOGS` write a mapping.toml for logs that lie elsewhere."
        )
    return sorted(by_day)


def days_in_records(spark: SparkSession, settings: Settings) -> list[date]:
    """The days that the records of an export tell, in order."""
    landing = land(settings, AFTER_ALL, allow_empty=True)
    return sorted(exports.days_of(spark, settings, landing))


def _landed(spark: SparkSession, settings: Settings, interval: Interval | None) -> tuple[list[date], Landing, Interval]:
    """The days of the logs, what has landed, and the days that are looked at."""
    exist = days_in_paths(settings)
    if exist:
        chosen = interval or Interval(exist[0], exist[-1] + timedelta(days=1))
        return exist, land(settings, chosen, allow_empty=True), chosen
    landing = land(settings, interval or AFTER_ALL, allow_empty=True)
    records = exports.days_of(spark, settings, landing)
    exist = sorted(records)
    if not exist:
        raise InputError(f"The logs in {load_mapping(settings).logs.path} hold no record. Deliver a log there.")
    chosen = interval or Interval(exist[0], exist[-1] + timedelta(days=1))
    return exist, exports.of_days(landing, chosen, records), chosen


def _examples(records: DataFrame) -> dict[str, tuple[tuple[str, str], ...]]:
    """File and raw of the first rejects of each reason."""
    order = Window.partitionBy(C.REASON).orderBy(C.SOURCE_FILE, C.RAW)
    first = (
        records.where(F.col(C.FATE) == REJECTED)
        .withColumn("n", F.row_number().over(order))
        .where(F.col("n") <= EXAMPLES)
        .orderBy(C.REASON, "n")
    )
    examples: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in first.select(C.REASON, C.SOURCE_FILE, C.RAW).collect():
        examples[row[C.REASON]] = (*examples.get(row[C.REASON], ()), (row[C.SOURCE_FILE], row[C.RAW]))
    return examples
