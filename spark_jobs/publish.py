"""Audits a night's lists and publishes them in one commit, or holds the night and leaves the last one alone.

    python -m spark_jobs.publish --start 2017-12-23 --end 2017-12-24 --run-id manual__2017-12-23

Reads the staging table of the night, writes `quality_results` (suite recommendations), `recommendations` and, last,
the `publications` row that readers follow. Running it again changes nothing; killed after the commit, the next run
writes the missing row. The staging table stays, so that publishing can run again without scoring.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs import audit, storage
from spark_jobs.contracts.cli import Run, entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import HeldError
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.settings import Scoring, Settings
from spark_jobs.contracts.tables import (
    EVENTS,
    ITEMS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
    SOURCES,
    TABLES,
    staging,
)
from spark_jobs.quality import results
from spark_jobs.session import session

PUBLISHED = "published"
HELD = "held"
EMPTY = "array<string>"


def measure_lists(lists: DataFrame, night: date) -> audit.Lists:
    """One pass over lists: who has one, from which models, and the hash of their content.

    The hash does not depend on the order of rows, nor on the run: sums of two 64-bit hashes of each row.
    """
    content = [F.col(name) for name in (C.DS, C.USER_ID, C.ITEMS, C.MODEL_ID)]
    row = lists.agg(
        F.count("*").alias("rows"),
        F.count_distinct(C.USER_ID).alias("users"),
        F.count_if(F.col(C.DS) != F.lit(night)).alias("others"),
        F.sort_array(F.collect_set(C.MODEL_ID)).alias("models"),
        _sum_of_hashes(*content).alias("first"),
        _sum_of_hashes(F.lit("second"), *content).alias("second"),
    ).first()
    assert row is not None
    content_hash = sha256(f"{row.rows} {row.first} {row.second}".encode()).hexdigest()
    return audit.Lists(row.users, row.rows - row.users, row.others, tuple(row.models), content_hash)


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
            "wrong_length": size != n,
            "wrong_ranks": ~F.col("items.rank").eqNullSafe(
                F.slice(F.sequence(F.lit(1), F.greatest(size, F.lit(1))), 1, size)
            ),
            "repeated_items": F.size(F.array_distinct("items.item_id")) != size,
            "bad_scores": F.coalesce(not_finite, F.lit(False)),
            "unordered_scores": F.coalesce(F.array_contains(pairs, F.lit(True)), F.lit(False)),
        }
    )


def histories(events: DataFrame, interval: Interval, scoring: Scoring) -> DataFrame:
    """Of each user with events before the end: items `seen` at all, and `excluded` by the settings."""
    past = events.where((F.col(C.DS) < F.lit(interval.end)) & (F.col(C.EVENT_TIME) < F.lit(_midnight(interval.end))))
    excluded = F.lit(False)
    for behaviour, days in sorted(scoring.exclude_seen_days.items()):
        since = _midnight(interval.end) - timedelta(days=days)
        excluded |= (F.col(C.BEHAVIOUR) == behaviour) & (F.col(C.EVENT_TIME) >= F.lit(since))
    return past.groupBy(C.USER_ID).agg(
        F.collect_set(C.ITEM_ID).alias("seen"),
        F.collect_set(F.when(excluded, F.col(C.ITEM_ID))).alias("excluded"),
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def measure_faults(
    lists: DataFrame, past: DataFrame, before: DataFrame | None, items: DataFrame, scoring: Scoring
) -> audit.Faults:
    """One pass over lists, each next to its user's history and to the user's list of the last night.

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
    both = F.col("has_list") & F.col("before").isNotNull()
    new_share = F.size(F.array_except(ids, F.col("before"))) / F.greatest(F.size(C.ITEMS), F.lit(1))
    faults = {
        **{
            name: F.col(name)
            for name in ("wrong_length", "wrong_ranks", "repeated_items", "bad_scores", "unordered_scores")
        },
        "excluded_items": F.arrays_overlap(ids, F.coalesce("excluded", none)),
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
    shown = lists.select(C.USER_ID, F.explode("items.item_id").alias(C.ITEM_ID))
    counts = shown.join(items.select(C.ITEM_ID, C.CATEGORY), C.ITEM_ID).groupBy(C.USER_ID, C.CATEGORY).count()
    return counts.where((F.col("count") > cap) & F.col(C.CATEGORY).isNotNull()).select(C.USER_ID).distinct().count()


def measure_shown(lists: DataFrame, items: DataFrame, scoring: Scoring) -> audit.Shown:
    """One pass over the lists' items next to the catalogue."""
    shown = lists.select(F.explode(C.ITEMS).alias("item")).select("item.*")
    per_item = shown.groupBy(C.ITEM_ID).agg(
        F.count("*").alias("shows"),
        *(F.count_if(F.col(C.SOURCE) == source).alias(f"from_{source}") for source in SOURCES),
    )
    catalogue = items.select(C.ITEM_ID, C.AVAILABLE, C.CATEGORY, F.lit(True).alias("known"))
    joined = per_item.join(catalogue, C.ITEM_ID, "full_outer")
    is_shown = F.col("shows").isNotNull()
    wrong = {
        "unknown": is_shown & F.col("known").isNull(),
        "unavailable": is_shown & ~F.col(C.AVAILABLE),
        "blocked": is_shown
        & (F.col(C.ITEM_ID).isin(*scoring.blocked_items) | F.col(C.CATEGORY).isin(*scoring.blocked_categories)),
    }
    row = joined.agg(
        F.count_if(is_shown).alias("distinct"),
        F.count_if(F.col(C.AVAILABLE)).alias("catalogue"),
        F.max(F.struct("shows", C.ITEM_ID)).alias("top"),
        F.coalesce(F.sum("shows"), F.lit(0)).alias("rows"),
        *(F.coalesce(F.sum(f"from_{source}"), F.lit(0)).alias(f"from_{source}") for source in SOURCES),
        *(F.count_if(bad).alias(name) for name, bad in wrong.items()),
        *(
            F.min(F.when(bad, F.coalesce(C.ITEM_ID, F.lit("null")))).alias(f"{name}_example")
            for name, bad in wrong.items()
        ),
    ).first()
    assert row is not None
    by_source = {source: row[f"from_{source}"] for source in SOURCES}
    top = row.top if row.top is not None and row.top.shows else None
    return audit.Shown(
        distinct=row.distinct,
        catalogue=row.catalogue,
        **{name: audit.Wrong(row[name], row[f"{name}_example"]) for name in wrong},
        top_item=top.item_id if top else None,
        top_item_users=top.shows if top else 0,
        rows=row.rows,
        by_source=by_source,
        other_sources=row.rows - sum(by_source.values()),
    )


def newest(rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that was written last."""
    return max(rows, key=lambda row: (row["published_at"], row["status"]), default=None)


def last_published_night(rows: Iterable[dict[str, Any]], night: date) -> date | None:
    """The newest night before ``night`` that was published."""
    return max((row["ds"] for row in rows if row["ds"] < night and row["status"] == PUBLISHED), default=None)


def measure(
    spark: SparkSession, settings: Settings, run: Run, lists: DataFrame, content: audit.Lists, last_night: date | None
) -> audit.Measured:
    """All that the audit looks at, in a handful of set-based passes; no user comes to the driver."""
    items = storage.read(spark, settings, ITEMS)
    past = histories(storage.read(spark, settings, EVENTS), run.interval, settings.scoring)
    before = None
    if last_night:
        old = storage.read(spark, settings, RECOMMENDATIONS).where(F.col(C.DS) == F.lit(last_night))
        before = old.select(C.USER_ID, F.col("items.item_id").alias("before"))
    quality = storage.small_rows(settings, QUALITY_RESULTS, {C.DS: run.interval.ds})
    return audit.Measured(
        content,
        measure_faults(lists, past, before, items, settings.scoring),
        measure_shown(lists, items, settings.scoring),
        audit.validated(quality, run.run_id),
        last_night,
    )


def write_publication(settings: Settings, row: dict[str, Any]) -> None:
    """Writes the row of a night and run, replacing the one of an earlier attempt with the same outcome."""
    run_id = str(row["run_id"]).replace("'", "''")
    where = f"ds = '{row['ds']}' and run_id = '{run_id}' and status = '{row['status']}'"
    storage.replace_small(settings, PUBLICATIONS, [tuple(row[name] for name in PUBLICATIONS.names)], where)


def run(spark: SparkSession, settings: Settings, job: Run, now: datetime) -> None:
    """Audits the night's staging table and publishes it, or holds it.

    ``now`` is written into the `publications` row and used for nothing else.

    Raises:
        HeldError: a critical check failed; the message carries every reason.
    """
    night = job.interval.ds
    lists = storage.read(spark, settings, staging(str(night)))
    content = measure_lists(lists, night)
    live_hash = None
    if storage.count(settings, RECOMMENDATIONS, {C.DS: night}):
        live = storage.read(spark, settings, RECOMMENDATIONS).where(F.col(C.DS) == F.lit(night))
        live_hash = measure_lists(live, night).content_hash
    past_rows = storage.small_rows(settings, PUBLICATIONS)
    standing = newest(row for row in past_rows if row["ds"] == night)
    if standing and standing["status"] == PUBLISHED and standing["content_hash"] == content.content_hash == live_hash:
        log.info("Night %s is published already, by %s: unchanged.", night, standing["run_id"])
        return

    last_night = last_published_night(past_rows, night)
    found = measure(spark, settings, job, lists, content, last_night)
    checked = audit.checks(found, settings.audit, settings.scoring.n, settings.scoring.max_per_category)
    results.write(settings, night, job.run_id, {audit.SUITE: checked})
    for result in checked:
        level = logging.INFO if result.success else logging.WARNING
        log.log(level, "%s %s: %s", "ok" if result.success else "FAILED", result.expectation, result.observed)

    why = audit.reasons(checked)
    if not why and live_hash != content.content_hash:
        note = {"ds": night, "run_id": job.run_id, "model_id": content.models[0], "content_hash": content.content_hash}
        # files ordered by user: the app's point look-ups skip all but one
        sorted_lists = lists.repartitionByRange(C.USER_ID).sortWithinPartitions(C.USER_ID)
        storage.replace(sorted_lists, settings, RECOMMENDATIONS, f"ds = '{night}'", note)
    write_publication(
        settings,
        {
            "ds": night,
            "run_id": job.run_id,
            "status": HELD if why else PUBLISHED,
            "reasons": why,
            "model_id": ", ".join(content.models),
            "users": content.users,
            "content_hash": content.content_hash,
            "table_versions": {
                name: storage.version(settings, table)
                for name, table in TABLES.items()
                if table is not PUBLICATIONS and storage.exists(settings, table)
            },
            "measures": audit.measures(found),
            "published_at": now,
        },
    )
    if why:
        stays = f"the lists of {last_night} stay" if last_night else "nothing was published before"
        raise HeldError(
            f"The night {night} is held, {stays}. {'; '.join(why)}. Correct the cause and run the night again."
        )
    log.info("Published %s: lists of %s users from model %s.", night, f"{content.users:,}", content.models[0])


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point; the only place that asks the clock."""
    job = run_of(parser(__doc__).parse_args(argv))
    with session("publish", settings) as spark:
        run(spark, settings, job, datetime.now(UTC))


if __name__ == "__main__":
    entry(main)
