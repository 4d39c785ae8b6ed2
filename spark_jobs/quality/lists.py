"""What the audit looks at, measured over a night's lists in a few set-based passes; no user comes to the driver."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.settings import Scoring, Settings
from contracts.tables import LIST_SOURCES
from spark_jobs.quality import audit
from spark_jobs.scoring.histories import EXCLUDED, excluded_items
from spark_jobs.scoring.rules import is_blocked, over_category_cap

EMPTY = "array<string>"


def measure_lists(lists: DataFrame, night: date) -> audit.Lists:
    """One pass over lists: who has one, from which models, and the hash of the content of all rows.

    Users are counted without the row to fall back on. The hash does not depend on the order of rows, nor on the run:
    sums of two 64-bit hashes of each row.
    """
    own = is_own(F.col)
    content = [F.col(name) for name in (C.DS, C.USER_ID, C.ITEMS, C.MODEL_ID)]
    row = lists.agg(
        F.count("*").alias("rows"),
        F.count_if(own).alias("lists"),
        F.count_distinct(F.when(own, F.col(C.USER_ID))).alias("users"),
        F.count_if(~own & (F.size(C.ITEMS) > 0)).alias("fallbacks"),
        F.count_if(F.col(C.DS) != F.lit(night)).alias("others"),
        F.sort_array(F.collect_set(C.MODEL_ID)).alias("models"),
        _sum_of_hashes(*content).alias("first"),
        _sum_of_hashes(F.lit("second"), *content).alias("second"),
    ).first()
    assert row is not None
    content_hash = sha256(f"{row.rows} {row.first} {row.second}".encode()).hexdigest()
    return audit.Lists(row.users, row.lists - row.users, row.fallbacks, row.others, tuple(row.models), content_hash)


def _sum_of_hashes(*columns: Column) -> Column:
    return F.coalesce(F.sum(F.xxhash64(*columns).cast("decimal(38,0)")), F.lit(0))


def with_faults(lists: DataFrame, n: int) -> DataFrame:
    """Adds to each list the rules that it breaks on its own, as booleans."""
    items, scores = F.col(C.ITEMS), F.col("items.score")
    size = F.coalesce(F.size(items), F.lit(0))
    pairs = F.zip_with(
        F.slice(scores, 1, F.greatest(size - 1, F.lit(0))),
        F.slice(scores, 2, F.greatest(size - 1, F.lit(0))),
        lambda score, following: following > score,
    )
    not_finite = F.exists(scores, lambda score: score.isNull() | F.isnan(score) | (F.abs(score) == float("inf")))
    return lists.withColumns(
        {
            "short_lists": size < n,
            "long_lists": size > n,
            "wrong_ranks": ~F.col("items.rank").eqNullSafe(
                F.slice(F.sequence(F.lit(1), F.greatest(size, F.lit(1))), 1, size)
            ),
            "repeated_items": F.size(F.array_distinct("items.item_id")) != size,
            "bad_scores": F.coalesce(not_finite, F.lit(False)),
            "unordered_scores": F.coalesce(F.array_contains(pairs, F.lit(True)), F.lit(False)),
        }
    )


def histories(events: DataFrame, end: date, settings: Settings) -> DataFrame:
    """Of each user with events before ``end``: items `seen` at all, and `excluded` by the settings."""
    return (
        events.where(lake.known_before(end, F.col, settings.shop.zone))
        .groupBy(C.USER_ID)
        .agg(F.collect_set(C.ITEM_ID).alias("seen"), excluded_items(end, settings))
    )


def measure_faults(
    lists: DataFrame, past: DataFrame, before: DataFrame | None, items: DataFrame, scoring: Scoring
) -> audit.Faults:
    """One pass over lists, each next to its user's history and to the user's list of the last night.

    The row to fall back on keeps the same rules; it is no list that is too short, which is a share of the users'.
    ``past`` is from `histories`, ``before`` has a user's former items as `before`.
    """
    ids = F.col("items.item_id")
    repeats = F.filter(F.col(C.ITEMS), lambda item: item.source == "repeat")
    reasoned = F.filter(F.col(C.ITEMS), lambda item: item.because.isNotNull())
    claimed = F.concat(
        F.transform(repeats, lambda item: item.item_id), F.transform(reasoned, lambda item: item.because)
    )
    listed = with_faults(lists, scoring.n).withColumns({"claimed": claimed, "has_list": F.lit(True)})
    listed = listed.drop(C.DS, C.MODEL_ID, C.RUN_ID)
    known = past.withColumn("has_events", F.lit(True))
    joined = known.join(listed, C.USER_ID, "full_outer")
    if before is None:
        joined = joined.withColumn("before", F.lit(None).cast(EMPTY))
    else:
        joined = joined.join(before, C.USER_ID, "left")
    none = F.array().cast(EMPTY)
    both = F.col("has_list") & F.col("before").isNotNull() & is_own(F.col)
    new_share = F.size(F.array_except(ids, F.col("before"))) / F.greatest(F.size(C.ITEMS), F.lit(1))
    faults = {
        **{
            name: F.col(name)
            for name in ("long_lists", "wrong_ranks", "repeated_items", "bad_scores", "unordered_scores")
        },
        "short_lists": F.col("short_lists") & is_own(F.col),
        "excluded_items": F.arrays_overlap(ids, F.coalesce(EXCLUDED, none)),
        "untrue_reasons": F.size(F.array_except("claimed", F.coalesce("seen", none))) > 0,
    }
    row = joined.agg(
        F.count_if("has_events").alias("users_with_events"),
        F.count_if(F.col("has_events") & F.col("has_list")).alias("users_covered"),
        *(F.count_if(broken).alias(name) for name, broken in faults.items()),
        F.count_if(both).alias("compared_users"),
        F.avg(F.when(both, new_share)).alias("churn"),
    ).first()
    assert row is not None
    measured = row.asDict()
    measured["churn"] = float("nan") if row.churn is None else row.churn
    return audit.Faults(**measured, over_category_cap=count_over_category_cap(lists, items, scoring.max_per_category))


def count_over_category_cap(lists: DataFrame, items: DataFrame, cap: int | None) -> int:
    """Lists with more than ``cap`` items of one category; 0, without looking, where there is no cap."""
    if cap is None:
        return 0
    return over_category_cap(lists, items, cap).count()


def measure_shown(lists: DataFrame, items: DataFrame, scoring: Scoring) -> audit.Shown:
    """One pass over the lists' items next to the catalogue.

    What the row to fall back on shows must be right too, but reaches nobody who is counted.
    """
    shown = lists.select(is_own(F.col).alias("own"), F.explode(C.ITEMS).alias("item")).select("own", "item.*")
    per_item = shown.groupBy(C.ITEM_ID).agg(
        F.count_if("own").alias("shows"),
        F.count_if(~F.coalesce(F.col(C.SOURCE).isin(*LIST_SOURCES), F.lit(False))).alias("other_sources"),
        *(F.count_if(F.col("own") & (F.col(C.SOURCE) == source)).alias(f"from_{source}") for source in LIST_SOURCES),
    )
    catalogue = items.select(C.ITEM_ID, C.AVAILABLE, C.CATEGORY, F.lit(True).alias("known"))
    joined = per_item.join(catalogue, C.ITEM_ID, "full_outer")
    is_shown = F.col("shows").isNotNull()
    wrong = {
        "unknown": is_shown & F.col("known").isNull(),
        "unavailable": is_shown & ~F.col(C.AVAILABLE),
        "blocked": is_shown & is_blocked(scoring),
    }
    row = joined.agg(
        F.count_if(F.col("shows") > 0).alias("distinct"),
        F.count_if(F.col(C.AVAILABLE)).alias("catalogue"),
        F.max(F.struct("shows", C.ITEM_ID)).alias("top"),
        *(
            F.coalesce(F.sum(name), F.lit(0)).alias(alias)
            for name, alias in (
                ("shows", "rows"),
                ("other_sources", "other_sources"),
                *((f"from_{source}", f"from_{source}") for source in LIST_SOURCES),
            )
        ),
        *(F.count_if(bad).alias(name) for name, bad in wrong.items()),
        *(
            F.min(F.when(bad, F.coalesce(C.ITEM_ID, F.lit("null")))).alias(f"{name}_example")
            for name, bad in wrong.items()
        ),
    ).first()
    assert row is not None
    by_source = {source: row[f"from_{source}"] for source in LIST_SOURCES}
    top = row.top if row.top is not None and row.top.shows else None
    return audit.Shown(
        distinct=row.distinct,
        catalogue=row.catalogue,
        **{name: audit.Wrong(row[name], row[f"{name}_example"]) for name in wrong},
        top_item=top.item_id if top else None,
        top_item_users=top.shows if top else 0,
        rows=row.rows,
        by_source=by_source,
        other_sources=row.other_sources,
    )
