"""What the rules of `[scoring]` say of lists as they stand: for those that are carried over, and for the audit."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.settings import Scoring


def items_of(lists: DataFrame) -> DataFrame:
    """A row (user_id, item_id) for each place of the lists."""
    return lists.select(C.USER_ID, F.explode("items.item_id").alias(C.ITEM_ID))


def is_blocked(rules: Scoring) -> Column:
    """Whether the item of a row is never recommended, or its category."""
    by_category = F.coalesce(F.col(C.CATEGORY).isin(*rules.blocked_categories), F.lit(False))
    return F.col(C.ITEM_ID).isin(*rules.blocked_items) | by_category


def over_category_cap(lists: DataFrame, items: DataFrame, cap: int) -> DataFrame:
    """Users whose list has more than ``cap`` items of one category."""
    known = items_of(lists).join(items.select(C.ITEM_ID, C.CATEGORY), C.ITEM_ID)
    counts = known.groupBy(C.USER_ID, C.CATEGORY).count()
    return counts.where((F.col("count") > cap) & F.col(C.CATEGORY).isNotNull()).select(C.USER_ID).distinct()
