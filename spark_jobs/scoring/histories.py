"""What scoring reads of `events`: everyone's history, what is excluded for them, and the daily counts of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import midnight, midnight_seconds
from models.histories import DAY
from models.item_state import POPULARITY_DAYS
from spark_jobs.scoring.sequences import arrays, event, newest_first

_RANK = "_rank"
EXCLUDED = "excluded"
"""Column of `histories`: the items that must not be on the user's list."""
ITEM_DAY, ITEM_EVENTS = "day", "events"
"""Columns of `daily_counts`, besides the item: days since 1970, and the number of events."""


def histories(events: DataFrame, end: date, max_history: int, exclude_seen_days: Mapping[str, int]) -> DataFrame:
    """One row a user: the arrays of the newest events known before ``end``, oldest first, and `excluded`.

    A history is cut at ``max_history`` events; what is excluded is not.
    """
    is_new = F.col(_RANK) <= max_history
    return (
        events.where(lake.known_before(end, F.col))
        .withColumn(_RANK, F.row_number().over(newest_first()))
        .where(is_new | _excludes(end, exclude_seen_days))
        .groupBy(C.USER_ID)
        .agg(
            F.sort_array(F.collect_list(F.when(is_new, event()))).alias("events"),
            excluded_items(end, exclude_seen_days),
        )
        .select(C.USER_ID, *arrays(F.col("events")), EXCLUDED)
    )


def excluded_items(end: date, exclude_seen_days: Mapping[str, int]) -> Column:
    """An aggregate over a user's events known before ``end``: the distinct items that their rules exclude, ascending.

    ``exclude_seen_days`` is the setting: a behaviour, and within how many days before ``end`` it excludes an item.
    """
    if not exclude_seen_days:
        return nothing_excluded()
    items = F.collect_set(F.when(_excludes(end, exclude_seen_days), F.col(C.ITEM_ID)))
    return F.array_sort(items).alias(EXCLUDED)


def nothing_excluded() -> Column:
    """`excluded` where there is no rule."""
    return F.array().cast("array<string>").alias(EXCLUDED)


def _excludes(end: date, exclude_seen_days: Mapping[str, int]) -> Column:
    """Whether an event excludes its item. Without rules a constant, which Spark drops from its plan."""
    excludes = F.lit(False)
    for behaviour, days in sorted(exclude_seen_days.items()):
        since = F.lit(midnight(end - timedelta(days=days)))
        excludes |= (F.col(C.BEHAVIOUR) == behaviour) & (F.col(C.EVENT_TIME) >= since)
    return excludes


def daily_counts(events: DataFrame, end: date, targets: Sequence[str]) -> DataFrame:
    """Target events by item and day, of the days before ``end`` that popularity reads: item_id, day, events."""
    newest = midnight_seconds(end) // DAY
    return (
        events.where(lake.known_before(end, F.col) & F.col(C.BEHAVIOUR).isin(*targets))
        .withColumn(ITEM_DAY, F.floor(F.unix_seconds(C.EVENT_TIME) / DAY).cast("int"))
        .where(F.col(ITEM_DAY) >= newest - max(POPULARITY_DAYS))
        .groupBy(C.ITEM_ID, ITEM_DAY)
        .agg(F.count("*").cast("int").alias(ITEM_EVENTS))
    )
