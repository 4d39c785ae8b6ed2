"""What scoring reads of `events`: everyone's history, and the daily counts of items."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import midnight_seconds
from models.histories import DAY
from models.item_state import POPULARITY_DAYS
from spark_jobs.scoring.sequences import arrays, event, newest_first

_RANK = "_rank"
ITEM_DAY, ITEM_EVENTS = "day", "events"
"""Columns of `daily_counts`, besides the item: days since 1970, and the number of events."""


def histories(events: DataFrame, end: date, max_history: int) -> DataFrame:
    """One row a user: the arrays of the newest events known before ``end``, oldest first."""
    return (
        events.where(lake.known_before(end, F.col))
        .withColumn(_RANK, F.row_number().over(newest_first()))
        .where(F.col(_RANK) <= max_history)
        .groupBy(C.USER_ID)
        .agg(F.sort_array(F.collect_list(event())).alias("events"))
        .select(C.USER_ID, *arrays(F.col("events")))
    )


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
