"""Cleans the logs of a run's days: events, rejects with their reasons, the catalogue. All is written aside.

    python -m spark_jobs.clean_events --start 2017-12-23 --end 2017-12-24
    python -m spark_jobs.clean_events --start 2017-12-23 --end 2017-12-24 --also 2017-12-20,2017-12-21

Every record of the logs becomes an event, a reject with its first reason, or is counted as a duplicate; the balance of
each day is checked before anything is written. `ds` is the day whose file brought the record, or in an export of many
days the record's own. `spark_jobs.validate` takes the days in, where they pass the gate: until then no other step sees
them. Running it again replaces what it wrote.

`--allow-empty` lets days without records pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import intake, lake
from contracts.cli import Days, log
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.night_steps import Counts as Counted
from contracts.places import written
from contracts.settings import Settings
from contracts.tables import INGEST_COUNTS, INGEST_FILES, RECORDS, waiting_table
from spark_jobs.cluster.step import main
from spark_jobs.ingest import items
from spark_jobs.ingest.deliveries import land_delivered
from spark_jobs.ingest.events import CLEAN, DUPLICATE, REJECTED, REPEATED, classified
from spark_jobs.ingest.exports import counted
from spark_jobs.ingest.landing import Landing, as_ranges

Counts = tuple[date, int, int, int, int, int]
"""A row of `ingest_counts`."""


def run(spark: SparkSession, settings: Settings, arguments: Days) -> Counted:
    """Reads, classifies, checks the balance and writes aside; nothing of the days is written before the check.

    Raises:
        InputError: a file is missing, unreadable or changed during the run; or logs are gone that were taken in.
    """
    night, allow_empty = arguments.interval.ds, arguments.allow_empty
    landings = {
        days: counted(
            spark,
            settings,
            days,
            land_delivered(settings, days, allow_empty=allow_empty),
            # what an earlier day lacks stops that day, at the gate, and not the night
            allow_empty=allow_empty or days != arguments.interval,
        )
        for days in arguments.batches
    }
    if not allow_empty:
        require_not_gone(settings, landings)
    # before they are read: a file that changes from now on is a late one
    files = files_of(landings)
    intake.drop(settings, night)
    prepared = items.prepare(spark, settings, landings)
    known = items.known_to(spark, settings, arguments.batches, prepared)
    parts = (classified(spark, settings, days, landing, known) for days, landing in landings.items())
    records = reduce(DataFrame.unionByName, parts).persist()
    try:
        counts = balance(records, landings)
        log_counts(counts)
        lake.replace_small(settings, waiting_table(INGEST_COUNTS, night), counts, "true")
        lake.replace_small(settings, waiting_table(INGEST_FILES, night), files, "true")
        kept = records.where(F.col(C.FATE) != DUPLICATE).hint("rebalance", C.DS)
        # it comes last: without it nothing is there to take in
        lake.replace(kept, settings, waiting_table(RECORDS, night), None)
        return dict(zip(("records", "clean", "rejected", "duplicates"), in_all(counts)[1:], strict=True))
    finally:
        records.unpersist()


def require_not_gone(settings: Settings, landings: Mapping[Interval, Landing]) -> None:
    """Raises an InputError where days have no records any more that are in the tables: they would be replaced by none.

    Of a single night without records that is said before, when its files are looked for.
    """
    known = intake.accepted(settings)
    gone = [
        day
        for landing in landings.values()
        for day, records in landing.raw.items()
        if not records and day in known and known[day]["raw"]
    ]
    if gone:
        logs = next(iter(landings.values())).mapping.logs.path
        raise InputError(
            f"{logs} has no records any more of {', '.join(as_ranges(gone))}, which are in the tables. Run for days "
            "that have logs; if the events of these days are to be removed, run again with --allow-empty."
        )


def balance(records: DataFrame, landings: Mapping[Interval, Landing]) -> list[Counts]:
    """Rows of `ingest_counts`.

    Raises:
        InputError: a day has other records than were counted when its files were checked.
    """
    fates = (CLEAN, REJECTED, REPEATED, DUPLICATE)
    sums = {
        row[C.DS]: row
        for row in records.groupBy(C.DS)
        .agg(*(F.count_if(F.col(C.FATE) == fate).alias(fate) for fate in fates))
        .collect()
    }
    rows = []
    for landing in landings.values():
        for day, files in landing.events.items():
            row = sums.get(day)
            clean, rejected, repeated, duplicates = (row[fate] for fate in fates) if row else (0, 0, 0, 0)
            duplicates += repeated
            raw = landing.raw[day]
            if raw != clean + rejected + duplicates:
                raise InputError(
                    f"The log of {day} does not balance: {raw} records in its files, but {clean} clean + {rejected} "
                    f"rejected + {duplicates} duplicates. Did a file change during the run? Run it again."
                )
            rows.append((day, len(files), raw, clean, rejected, duplicates))
    return rows


def in_all(counts: Sequence[Counts]) -> list[int]:
    """Files, raw records, clean ones, rejects and duplicates of all days."""
    return [sum(column) for column in zip(*(row[1:] for row in counts), strict=True)]


def files_of(landings: Mapping[Interval, Landing]) -> list[tuple[object, ...]]:
    """Rows of `ingest_files`; none for exports, whose files are not of a day."""
    rows: list[tuple[object, ...]] = []
    for landing in landings.values():
        if landing.export:
            continue
        root = landing.mapping.logs.root
        for day, files in landing.events.items():
            for file in files:
                name, size = file.path.relative_to(root).as_posix(), file.path.stat().st_size
                rows.append((day, name, file.records, size, written(file.path)))
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
        log.info(line, "all", *in_all(counts))


if __name__ == "__main__":
    main("clean_events", __doc__, Days, run)
