"""Lists that are carried over from the last night: of users of whom nothing comes, while it is not their turn.

What a night costs follows the users that do something. `scoring.idle_days` says who is idle, `scoring.idle_nights` how
often they are scored all the same: popularity, new items and the date reach them only then.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.interval import Interval
from contracts.settings import Scoring, Settings
from contracts.states import newest_published
from contracts.tables import PUBLICATIONS, RECOMMENDATIONS
from spark_jobs.scoring.histories import EXCLUDED, excluded_items
from spark_jobs.scoring.rules import is_blocked, items_of, over_category_cap

RULES = "rules"
"""In the note of a commit of `recommendations`: `Scoring.rules_hash` of the night."""
NEWEST = "newest"
"""The last day that brought something of a user."""


def carried(
    spark: SparkSession, settings: Settings, events: DataFrame, interval: Interval, model_id: str
) -> DataFrame | None:
    """The lists of the last published night that this one takes over: user_id, items, scored_ds.

    A list is carried while nothing came of its user since it was scored, while it was scored by the same model and
    rules within the last `idle_nights`, and while all its items may still be shown. None where none can be, as without
    the setting: then nothing is read.
    """
    rules, night = settings.scoring, interval.ds
    if rules.idle_days is None or (last := _last_night(settings, night)) is None:
        return None
    users = (
        events.where(lake.known_before(interval.end, F.col, settings.shop.zone))
        .groupBy(C.USER_ID)
        .agg(F.max(C.DS).alias(NEWEST), excluded_items(interval.end, settings))
    )
    quiet_since = F.lit(interval.end - timedelta(days=rules.idle_days))
    idle = users.where((F.col(NEWEST) < quiet_since) & ~has_turn(night, rules.idle_nights))
    lists = (
        lake.read(spark, settings, RECOMMENDATIONS)
        .where((F.col(C.DS) == F.lit(last)) & is_own(F.col) & (F.col(C.MODEL_ID) == model_id))
        .select(C.USER_ID, C.ITEMS, F.coalesce(C.SCORED_DS, C.DS).alias(C.SCORED_DS))
    )
    holds = (
        (F.col(C.SCORED_DS) >= F.col(NEWEST))
        & (F.date_diff(F.lit(night), C.SCORED_DS) < rules.idle_nights)
        & (F.size(C.ITEMS) == rules.n)
        & ~F.arrays_overlap("items.item_id", EXCLUDED)
    )
    chosen = idle.join(lists, C.USER_ID).where(holds).select(C.USER_ID, C.ITEMS, C.SCORED_DS)
    items = catalogue.frame(spark, settings, Edition(night))
    return chosen.join(_with_a_fault(chosen, items, rules), C.USER_ID, "left_anti")


def has_turn(night: date, nights: int) -> Column:
    """Whether an idle user is scored in this night: by the hash of the id, evenly over ``nights``."""
    return F.pmod(F.xxhash64(C.USER_ID), F.lit(nights)) == night.toordinal() % nights


def _last_night(settings: Settings, night: date) -> date | None:
    """The last published night before this one, if its lists were made by the rules of now."""
    last = newest_published(row for row in lake.rows(settings, PUBLICATIONS) if row[C.DS] < night)
    if last is None or not lake.exists(settings, RECOMMENDATIONS):
        return None
    note = lake.note_with(settings, RECOMMENDATIONS, {C.DS: str(last[C.DS])})
    made_alike = note is not None and note.get(RULES) == settings.scoring.rules_hash
    ds: date = last[C.DS]
    return ds if made_alike else None


def _with_a_fault(lists: DataFrame, items: DataFrame, rules: Scoring) -> DataFrame:
    """Users whose list shows what may not be shown now: items come and go, and change their category."""
    allowed = items.where(F.col(C.AVAILABLE) & ~is_blocked(rules)).select(C.ITEM_ID)
    wrong = items_of(lists).join(allowed, C.ITEM_ID, "left_anti").select(C.USER_ID).distinct()
    if rules.max_per_category is None:
        return wrong
    return wrong.union(over_category_cap(lists, items, rules.max_per_category))
