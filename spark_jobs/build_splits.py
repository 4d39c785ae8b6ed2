"""Builds train, validation and test sequences as of the end of a run's interval.

    python -m spark_jobs.build_splits --start 2017-12-16 --end 2017-12-23 --run-id by-hand

With an interval that ends at T and windows of 7 days:

    split        histories: events before   targets: items of target behaviours in
    train        T - 14 days                -  (the model draws its own inside the history)
    validation   T - 14 days                [T - 14 days, T - 7 days)
    test         T - 7 days                 [T - 7 days, T)

Only logs of days before T count. One row per user and split in `sequences`; a user is in train with a history,
in validation and test with a history or targets: users without a history are the cold ones, users without
targets complete what was known of the shop at that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spark_jobs import storage
from spark_jobs.contracts.cli import entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.interval import midnight_seconds
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import EVENTS, SEQUENCES
from spark_jobs.contracts.windows import TEST, TRAIN, VALIDATION, Windows
from spark_jobs.session import session

_SECONDS, _OLD, _PLACE, _EVENTS = "_seconds", "_old", "_place", "_events"


def run(spark: SparkSession, settings: Settings, end: date) -> str:
    """Writes the snapshot as of ``end`` and returns its id.

    Raises:
        InputError: no event lies before the windows, or none of a target behaviour within them.
    """
    windows = Windows.of(settings, end)
    events = storage.read(spark, settings, EVENTS).where(F.col(C.DS) < F.lit(end))
    sequences = events.transform(to_sequences, windows).persist()
    try:
        require_all_splits(sequences, windows)
        where = f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}'"
        storage.replace(sequences.hint("rebalance", C.SPLIT), settings, SEQUENCES, where)
    finally:
        sequences.unpersist()
    return windows.snapshot_id


def require_all_splits(sequences: DataFrame, windows: Windows) -> None:
    """Logs the size of each split; raises an InputError if one of them is of no use."""
    counted = sequences.groupBy(C.SPLIT).agg(
        F.count("*").alias("users"),
        F.count_if(F.size(C.ITEM_IDS) > 0).alias("histories"),
        F.count_if(F.size(C.TARGETS) > 0).alias("targets"),
    )
    counts = {row[C.SPLIT]: row for row in counted.collect()}
    for split in (TRAIN, VALIDATION, TEST):
        row = counts.get(split)
        if row is None or not row["histories"] or (split != TRAIN and not row["targets"]):
            raise InputError(
                f"No {split} split as of {windows.end}: it needs events before the last two windows of "
                f"{windows.window_days} days, and some of {', '.join(windows.targets)} in each of them. Ingest "
                "more days, or set splits.window_days."
            )
        log.info(
            "%-10s %8d users, %8d with history, %8d with targets",
            split, row["users"], row["histories"], row["targets"],
        )  # fmt: skip


def to_sequences(events: DataFrame, windows: Windows) -> DataFrame:
    """Rows of `sequences`, from events in any order."""
    test_end = midnight_seconds(windows.end)
    users = (
        events.withColumn(_SECONDS, F.unix_timestamp(C.EVENT_TIME))
        .where(F.col(_SECONDS) < test_end)
        .transform(filter_newest, windows)
        .groupBy(C.USER_ID)
        .agg(F.sort_array(F.collect_list(F.struct(_SECONDS, C.ITEM_ID, C.BEHAVIOUR))).alias(_EVENTS))
    )
    first, second = windows.validation_start, windows.test_start
    splits = F.array(
        _sequence(TRAIN, first, first, windows),
        _sequence(VALIDATION, first, second, windows),
        _sequence(TEST, second, test_end, windows),
    )
    return (
        users.select(C.USER_ID, F.inline(splits))
        .where((F.size(C.ITEM_IDS) > 0) | (F.size(C.TARGETS) > 0))
        .withColumn(C.SNAPSHOT_ID, F.lit(windows.snapshot_id))
        .select(*SEQUENCES.names)
    )


def filter_newest(events: DataFrame, windows: Windows) -> DataFrame:
    """Drops what no history can hold, so that one user's array stays small however long the table is."""
    newest_first = Window.partitionBy(C.USER_ID, _OLD).orderBy(
        F.col(_SECONDS).desc(), F.col(C.ITEM_ID).desc(), F.col(C.BEHAVIOUR).desc()
    )
    return (
        # by user alone, so that the grouping that follows needs no second shuffle
        events.repartition(C.USER_ID)
        .withColumn(_OLD, F.col(_SECONDS) < windows.validation_start)
        .withColumn(_PLACE, F.row_number().over(newest_first))
        .where(~F.col(_OLD) | (F.col(_PLACE) <= windows.max_history))
    )


def _sequence(split: str, start: int, end: int, windows: Windows) -> Column:
    """One split of a user: history before ``start``, targets in [start, end)."""
    before = F.filter(_EVENTS, lambda event: event[_SECONDS] < start)
    kept = F.slice(before, F.greatest(F.size(before) - windows.max_history + 1, F.lit(1)), windows.max_history)
    inside = F.filter(
        _EVENTS,
        lambda event: (event[_SECONDS] >= start) & (event[_SECONDS] < end) & event[C.BEHAVIOUR].isin(*windows.targets),
    )
    return F.struct(
        F.lit(split).alias(C.SPLIT),
        kept[C.ITEM_ID].alias(C.ITEM_IDS),
        kept[C.BEHAVIOUR].alias(C.BEHAVIOURS),
        kept[_SECONDS].alias(C.TIMES),
        F.array_sort(F.array_distinct(inside[C.ITEM_ID])).alias(C.TARGETS),
    )


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run_ = run_of(parser(__doc__).parse_args(argv))
    with session("build_splits", settings) as spark:
        snapshot_id = run(spark, settings, run_.interval.end)
    print(snapshot_id)


if __name__ == "__main__":
    entry(main)
