"""Builds train, validation and test sequences as of a day.

    python -m spark_jobs.build_splits --as-of 2017-12-23

As of T, with windows of 7 days (`splits.window_days`; without it, `contracts.windows.horizon_days` chooses):

    split        histories: events before   targets: items of target events in
    train        T - 14 days                -  (the model draws its own inside the history)
    validation   T - 14 days                [T - 14 days, T - 7 days)
    test         T - 7 days                 [T - 7 days, T)
    latest       T                          -  (a model that is promoted learns its test window too)

Only logs of days before T count; days begin at the shop's midnight. One row per user and split in `sequences`; a user
is in train and latest with a history, in validation and test with a history or targets: users without a history are
the cold ones, users without targets complete what was known of the shop at that time.

The note of the commit says which versions of `events` and `items` there were: training and evaluation read those,
though a night writes meanwhile.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.cli import AsOf, log
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import midnight_seconds
from contracts.settings import Settings
from contracts.tables import EVENTS, SEQUENCES
from contracts.windows import LATEST, LONGER_DAYS, TEST, TRAIN, VALIDATION, Windows, horizon_days
from models.histories import DAY
from models.store.snapshot import PINNED, pins_note
from spark_jobs.cluster.step import main
from spark_jobs.scoring.sequences import TIME, arrays, event, newest_first, shop_seconds

_OLD, _RANK, _EVENTS = "_old", "_rank", "_events"


def run(spark: SparkSession, settings: Settings, arguments: AsOf) -> str:
    """Writes the snapshot as of the day and returns its id.

    Raises:
        InputError: no event lies before the windows, or none of a target behaviour within them.
    """
    versions = {table.name: lake.version(settings, table) for table in PINNED if lake.exists(settings, table)}
    events = lake.read(spark, settings, EVENTS, versions.get(EVENTS.name))
    events = events.where(lake.known_before(arguments.as_of, F.col, settings.shop.zone))
    days = settings.splits.window_days or chosen_days(events, settings, arguments.as_of)
    windows = Windows.of(settings, arguments.as_of, days)
    sequences = events.transform(to_sequences, windows).persist()
    try:
        require_all_splits(sequences, windows)
        where = f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}'"
        note = pins_note(windows, versions)
        lake.replace(sequences.hint("rebalance", C.SPLIT), settings, SEQUENCES, where, note)
    finally:
        sequences.unpersist()
    log.info("Snapshot: %s", windows.snapshot_id)
    return windows.snapshot_id


def chosen_days(events: DataFrame, settings: Settings, end: date) -> int:
    """How far ahead the model should predict, from the events known before ``end``."""
    age = F.floor((midnight_seconds(end) - 1 - shop_seconds(settings.shop.zone)) / DAY)
    target_age = F.when(settings.ingest.target_events.are(F.col, Column.isNull), age)
    by_user = events.groupBy(C.USER_ID).agg(F.min(target_age).alias("newest"), F.max(age).alias("oldest"))
    counted = by_user.agg(
        F.max("oldest").alias("oldest"),
        *(F.count_if(F.col("newest") < days).alias(f"{days}") for days in LONGER_DAYS),
    ).collect()[0]
    recent = events.where(age < 2 * max(LONGER_DAYS)).select(target_age.alias("age")).distinct().dropna()
    history = (-1 if counted["oldest"] is None else counted["oldest"]) + 1
    chosen = horizon_days(
        history, {days: counted[f"{days}"] for days in LONGER_DAYS}, [row["age"] for row in recent.collect()]
    )
    log.info("The model predicts %d days ahead: chosen from %d days of history.", chosen, history)
    return chosen


def require_all_splits(sequences: DataFrame, windows: Windows) -> None:
    """Logs the size of each split; raises an InputError if one of them is of no use."""
    counted = sequences.groupBy(C.SPLIT).agg(
        F.count("*").alias("users"),
        F.count_if(F.size(C.ITEM_IDS) > 0).alias("histories"),
        F.count_if(F.size(C.TARGETS) > 0).alias("targets"),
    )
    counts = {row[C.SPLIT]: row for row in counted.collect()}
    low = "" if windows.targets.least is None else f" that are not rated below {windows.targets.least:g}"
    for split in (TRAIN, VALIDATION, TEST):
        row = counts.get(split)
        if row is None or not row["histories"] or (split != TRAIN and not row["targets"]):
            raise InputError(
                f"No {split} split as of {windows.end}: it needs events before the last two windows of "
                f"{windows.window_days} days, and some of {', '.join(windows.targets.behaviours)}{low} in each of "
                "them. Ingest more days, or set splits.window_days."
            )
        log.info(
            "%-10s %8d users, %8d with history, %8d with targets",
            split, row["users"], row["histories"], row["targets"],
        )  # fmt: skip


def to_sequences(events: DataFrame, windows: Windows) -> DataFrame:
    """Rows of `sequences`, from the events known before the end, in any order."""
    users = (
        events.transform(filter_newest, windows)
        .groupBy(C.USER_ID)
        .agg(F.sort_array(F.collect_list(event(windows.zone))).alias(_EVENTS))
    )
    first, second, end = windows.validation_start, windows.test_start, midnight_seconds(windows.end)
    splits = F.array(
        _sequence(TRAIN, first, first, windows),
        _sequence(VALIDATION, first, second, windows),
        _sequence(TEST, second, end, windows),
        _sequence(LATEST, end, end, windows),
    )
    return (
        users.select(C.USER_ID, F.inline(splits))
        .where((F.size(C.ITEM_IDS) > 0) | (F.size(C.TARGETS) > 0))
        .withColumn(C.SNAPSHOT_ID, F.lit(windows.snapshot_id))
        .select(*SEQUENCES.names)
    )


def filter_newest(events: DataFrame, windows: Windows) -> DataFrame:
    """Drops what no history can hold, so that one user's array stays small however long the table is."""
    return (
        # by user alone, so that the grouping that follows needs no second shuffle
        events.repartition(C.USER_ID)
        .withColumn(_OLD, shop_seconds(windows.zone) < windows.validation_start)
        .withColumn(_RANK, F.row_number().over(newest_first(windows.zone, _OLD)))
        .where(~F.col(_OLD) | (F.col(_RANK) <= windows.max_history))
    )


def _sequence(split: str, start: int, end: int, windows: Windows) -> Column:
    """One split of a user: history before ``start``, targets in [start, end)."""
    before = F.filter(_EVENTS, lambda each: each[TIME] < start)
    kept = F.slice(before, F.greatest(F.size(before) - windows.max_history + 1, F.lit(1)), windows.max_history)
    inside = F.filter(
        _EVENTS,
        lambda each: (
            (each[TIME] >= start) & (each[TIME] < end) & windows.targets.are(lambda name: each[name], Column.isNull)
        ),
    )
    targets = F.array_sort(F.array_distinct(inside[C.ITEM_ID]))
    return F.struct(F.lit(split).alias(C.SPLIT), *arrays(kept), targets.alias(C.TARGETS))


if __name__ == "__main__":
    main("build_splits", __doc__, AsOf, run)
