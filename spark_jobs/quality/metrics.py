"""What the expectations look at, computed in one aggregate pass over each table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import Settings, Shop
from contracts.tables import CATALOGUE_RECORDS, INGEST_COUNTS, ITEMS, ITEMS_REJECTED, Table, waiting_table
from spark_jobs.ingest.acceptance import Batch
from spark_jobs.ingest.events import NEEDS_QUANTITY
from spark_jobs.quality import rejects
from spark_jobs.scoring.sequences import shop_time

Metrics = dict[str, float]

PAST_DAYS, FEWEST_PAST_DAYS = 28, 7
"""A night's volume is compared with so many days before it, if at least so few of them had logs."""


@dataclass(frozen=True)
class CatalogueRows:
    """The catalogue that a run's days are judged with."""

    day: date  # since which it is as it is
    items: DataFrame  # rows of `items`, one an item
    rejected: Table  # which has its rejects, by their columns ds, reason and raw


def catalogue_rows(spark: SparkSession, settings: Settings, night: date) -> CatalogueRows:
    """What a run brings of the catalogue or, where that is nothing new, what the table has as of the night."""
    table = waiting_table(CATALOGUE_RECORDS, night)
    if not lake.exists(settings, table):
        found = catalogue.version(settings, Edition(night))
        day = found.newest if found else night
        return CatalogueRows(day, catalogue.frame(spark, settings, Edition(night)), ITEMS_REJECTED)
    records = lake.read(spark, settings, table)
    rows = records.where(F.col(C.REASON).isNull()).select(*ITEMS.names)
    first = records.orderBy(F.col(C.DS).desc()).select(C.DS, C.WHOLE).first()
    if first is None or not first[C.WHOLE]:
        if lake.exists(settings, ITEMS):
            rows = rows.unionByName(catalogue.frame(spark, settings, Edition(night)).select(*ITEMS.names))
        rows = catalogue.newest_of_each(rows)
    return CatalogueRows(first[C.DS] if first else night, rows, table)


def events_metrics(items: CatalogueRows, settings: Settings, batch: Batch) -> Metrics:
    """Metrics of the events of a batch of days; `volume_ratio` only where there is a past to compare with."""
    days = batch.days
    events = batch.events.join(known_items(items.items), C.ITEM_ID, "left")
    seen = aggregate(events, events_aggregates(settings))
    expected = rejects.expected_events(settings, days, batch.rejected)
    return (
        with_shares(seen, price_null="purchases", price_negative="rows", items_unknown="rows", late="rows")
        | counted_metrics(batch.counts, settings.shop, days, seen["rows"], expected)
        | volume_metric(batch.counts, settings.shop, days.ds)
    )


def items_metrics(settings: Settings, items: CatalogueRows) -> Metrics:
    """Metrics of the catalogue."""
    seen = aggregate(items.items, items_aggregates())
    rejected = rejects.count_of_items(settings, items.rejected, items.day)
    raw = rejected + seen["rows"]
    return with_shares(seen, textless="rows", price_negative="rows") | {
        "raw": raw,
        "rejected_share": rejected / max(raw, 1),
    }


def known_items(items: DataFrame) -> DataFrame:
    """Ids of the catalogue, with a mark."""
    return items.select(C.ITEM_ID, F.lit(True).alias("known"))


def events_aggregates(settings: Settings) -> dict[str, Column]:
    """Aggregates over events that are joined with `known_items`."""
    ingest = settings.ingest
    time, day, behaviour = shop_time(settings.shop.zone), F.col(C.DS), F.col(C.BEHAVIOUR)
    is_purchase = behaviour == NEEDS_QUANTITY
    keys = (C.USER_ID, C.ITEM_ID, C.BEHAVIOUR, C.EVENT_TIME)
    too_early, too_late = time < F.date_sub(day, ingest.late_days), time >= F.date_add(day, 1)
    return {
        "rows": F.count("*"),
        "event_ids": F.count_distinct(C.EVENT_ID),
        "keys_null": F.count_if(F.greatest(*(F.col(key).isNull() for key in keys))),
        "items_unknown": F.count_if(F.col("known").isNull()),
        "behaviours_unknown": F.count_if(~behaviour.isin(*ingest.behaviours)),
        "times_outside": F.count_if(too_early | too_late),
        "late": F.count_if(time < day),
        "purchases": F.count_if(is_purchase),
        "purchase_quantity_null": F.count_if(is_purchase & F.col(C.QUANTITY).isNull()),
        "price_null": F.count_if(is_purchase & F.col(C.PRICE).isNull()),
        "quantity_not_positive": F.count_if(F.col(C.QUANTITY) <= 0),
        "quantity_max": F.max(C.QUANTITY),
        "price_negative": F.count_if(F.col(C.PRICE) < 0),
        "price_max": F.max(C.PRICE),
        "targets": F.count_if(ingest.target_events.are(F.col, Column.isNull)),
    }


def items_aggregates() -> dict[str, Column]:
    """Aggregates over items."""
    described = (C.TITLE, C.DESCRIPTION, C.CATEGORY, C.PRODUCT_TYPE)
    return {
        "rows": F.count("*"),
        "item_ids": F.count_distinct(C.ITEM_ID),
        "hash_wrong": F.count_if(~F.col(C.TEXT_HASH).eqNullSafe(F.sha2(C.TEXT, 256))),
        "available": F.count_if(C.AVAILABLE),
        "textless": F.count_if(F.coalesce(*described).isNull()),
        "price_negative": F.count_if(F.col(C.PRICE) < 0),
    }


def aggregate(frame: DataFrame, aggregates: dict[str, Column]) -> Metrics:
    """One pass: the aggregates as numbers (0 for the maximum of nothing), and how many ids are repeated."""
    row = frame.agg(*(column.alias(name) for name, column in aggregates.items())).first()
    assert row is not None  # an aggregate without groups has one row
    metrics = {name: float(row[name] or 0) for name in aggregates}
    for ids in ("event_ids", "item_ids"):
        if ids in metrics:
            metrics[f"{ids.removesuffix('s')}_repeated"] = metrics["rows"] - metrics[ids]
    return metrics


def with_shares(metrics: Metrics, **wholes: str) -> Metrics:
    """Adds ``<part>_share`` for each ``part="whole"``; a share of nothing is 0."""
    return metrics | {f"{part}_share": metrics[part] / max(metrics[whole], 1) for part, whole in wholes.items()}


def counted_metrics(
    counts: dict[date, dict[str, Any]], shop: Shop, interval: Interval, rows: float, expected_rejects: int
) -> Metrics:
    """What the balance says of the interval, and whether the events agree.

    Rejected records count but for those that the settings expect. An empty day counts but where the shop was closed, or
    where it is a gap in a history, which ingestion has listed.
    """
    is_history = len(interval.days) > 1
    inside = [counts[day] for day in interval.days if day in counts]
    raw, clean, rejected = (sum(row[name] for row in inside) for name in ("raw", "clean", "rejected"))
    unexpected = rejected - expected_rejects
    return {
        "raw": float(raw),
        "days_missing": float(len(interval.days) - len(inside)),
        "days_empty": float(
            sum(
                not row["clean"] and not shop.is_closed(row[C.DS]) and not (is_history and not row["raw"])
                for row in inside
            )
        ),
        "rows_unaccounted": abs(rows - clean),
        "rejected_share": unexpected / max(raw, 1),
    }


def volume_metric(counts: dict[date, dict[str, Any]], shop: Shop, night: date) -> Metrics:
    """Events of the night over the median of the days before; empty where there is nothing to compare.

    Days without logs do not count: a shop that was closed, or logs that are not there yet. What the log of a closed
    shop brings all the same is compared with nothing.
    """
    before = [night - timedelta(days=n) for n in range(1, PAST_DAYS + 1)]
    past = [counts[day]["clean"] for day in before if day in counts and counts[day]["raw"]]
    if night not in counts:
        raise InputError(f"Table {INGEST_COUNTS.name} has no row for {night}: run clean_events for that day first.")
    # an empty night that got as far as here was allowed to be empty
    if len(past) < FEWEST_PAST_DAYS or not counts[night]["raw"] or shop.is_closed(night):
        return {}
    usual = median(past)
    return {"volume_ratio": counts[night]["clean"] / usual} if usual else {}
