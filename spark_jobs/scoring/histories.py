"""What scoring reads of `events`: everyone's history, what is excluded for them, and the daily counts of items."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import FALLBACK_USER
from contracts.interval import midnight, midnight_seconds
from contracts.settings import Ingest, Settings
from models.behaviours import Behaviours
from models.histories import DAY
from models.item_state import POPULARITY_DAYS
from spark_jobs.scoring.sequences import arrays, event, newest_first, shop_seconds

_RANK = "_rank"
EXCLUDED = "excluded"
"""Column of `histories`: the items that must not be on the user's list."""
ITEM_DAY, ITEM_EVENTS, ITEM_STRENGTH = "day", "events", "strength"
"""Columns of `daily_counts`, besides the item: days since 1970 on the shop's clock, the number of target events, and
the sum of what all events say (`models.behaviours`)."""


def histories(events: DataFrame, end: date, settings: Settings) -> DataFrame:
    """One row a user: the arrays of the newest events known before ``end``, oldest first, and `excluded`.

    A history is cut at `splits.max_history` events; what is excluded is not.
    """
    zone = settings.shop.zone
    is_new = F.col(_RANK) <= settings.splits.max_history
    return (
        events.where(lake.known_before(end, F.col, zone))
        .withColumn(_RANK, F.row_number().over(newest_first(zone)))
        .where(is_new | _excludes(end, settings))
        .groupBy(C.USER_ID)
        .agg(
            F.sort_array(F.collect_list(F.when(is_new, event(zone)))).alias("events"),
            excluded_items(end, settings),
        )
        .select(C.USER_ID, *arrays(F.col("events")), EXCLUDED)
    )


def with_fallback(users: DataFrame) -> DataFrame:
    """Rows of `histories` and one more, of a user who did nothing: whose list is for whoever has none."""
    columns = [field for field in users.schema.fields if field.name != C.USER_ID]
    nothing = [F.array().cast(field.dataType).alias(field.name) for field in columns]
    return users.unionByName(users.sparkSession.range(1).select(F.lit(FALLBACK_USER).alias(C.USER_ID), *nothing))


def excluded_items(end: date, settings: Settings) -> Column:
    """An aggregate over a user's events known before ``end``: the distinct items that must not be listed, ascending.

    `scoring.exclude_seen_days` says within how many days before ``end`` which behaviour excludes an item.
    """
    if not settings.scoring.exclude_seen_days:
        return nothing_excluded()
    items = F.collect_set(F.when(_excludes(end, settings), F.col(C.ITEM_ID)))
    return F.array_sort(items).alias(EXCLUDED)


def nothing_excluded() -> Column:
    """`excluded` where there is no rule."""
    return F.array().cast("array<string>").alias(EXCLUDED)


def _excludes(end: date, settings: Settings) -> Column:
    """Whether an event excludes its item. Without rules a constant, which Spark drops from its plan."""
    excludes = F.lit(False)
    for behaviour, days in sorted(settings.scoring.exclude_seen_days.items()):
        since = F.lit(midnight(end - timedelta(days=days), settings.shop.zone))
        excludes |= (F.col(C.BEHAVIOUR) == behaviour) & (F.col(C.EVENT_TIME) >= since)
    return excludes


def daily_counts(events: DataFrame, end: date, settings: Settings) -> DataFrame:
    """Events by item and day, of the days before ``end`` that popularity reads: item_id, day, events, strength."""
    newest, zone = midnight_seconds(end) // DAY, settings.shop.zone
    return (
        events.where(lake.known_before(end, F.col, zone))
        .withColumn(ITEM_DAY, F.floor(shop_seconds(zone) / DAY).cast("int"))
        .where(F.col(ITEM_DAY) >= newest - max(POPULARITY_DAYS))
        .groupBy(C.ITEM_ID, ITEM_DAY)
        .agg(
            F.count_if(settings.ingest.target_events.are(F.col, Column.isNull)).cast("int").alias(ITEM_EVENTS),
            F.sum(strength(settings.ingest)).alias(ITEM_STRENGTH),
        )
    )


def strength(ingest: Ingest) -> Column:
    """How much an event says of its item, as `Behaviours.strengths` has it."""
    behaviours = Behaviours.of(ingest.behaviours, ingest.targets, ingest.scale)
    weights = dict(zip(behaviours.names, behaviours.weights, strict=True))
    by_name = F.create_map(*(F.lit(each) for pair in weights.items() for each in pair))
    weight = F.coalesce(by_name[F.col(C.BEHAVIOUR)], F.lit(0.0))
    if ingest.scale is None:
        return weight
    share = F.greatest(F.least(ingest.scale.part(F.col(C.RATING)), F.lit(1.0)), F.lit(0.0))
    return F.when(F.col(C.RATING).isNull(), weight).otherwise(weight * share)
