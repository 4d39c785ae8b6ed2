"""Takes days into the tables that other steps read, once the gate has passed them: write, audit, publish.

An event counts once, on the first day whose log brings it, in whichever order the days are taken in: a day that comes
late takes over what later ones have of it, and a day that is delivered anew gives back what it no longer has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow.dataset as pads
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import intake, lake
from contracts.cli import log
from contracts.columns import Columns as C
from contracts.intake import Counts
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import (
    CATALOGUE_RECORDS,
    EVENTS,
    EVENTS_REJECTED,
    EVENTS_REPEATED,
    INGEST_COUNTS,
    INGEST_FILES,
    ITEMS,
    ITEMS_REJECTED,
    RECORDS,
    Table,
    waiting_table,
)
from spark_jobs.ingest.events import CLEAN, REJECTED, REPEATED, earlier_events, not_before


@dataclass(frozen=True)
class Batch:
    """Days that are judged as one."""

    days: Interval
    events: DataFrame  # rows of `events`
    counts: Counts  # of the days, and of those before that are in the tables
    rejected: Table  # which has the rejects of the days, by their columns ds, reason and raw
    records: DataFrame | None = None  # of `RECORDS`; None for days that are in the tables already


def batch(spark: SparkSession, settings: Settings, night: date, days: Interval) -> Batch:
    """What the run of a night has cleaned of some days or, where it was taken in, what the tables have of them.

    Events that an earlier day in the tables has are not among it. The records are cached: `accept` reads them again.
    """
    accepted = intake.accepted(settings)
    made = {day: row for day, row in intake.waiting(settings, night).items() if days.covers(day)}
    if not made:
        events = lake.read(spark, settings, EVENTS).where(days.covers(F.col(C.DS)))
        return Batch(days, events, accepted, EVENTS_REJECTED)
    cleaned = lake.read(spark, settings, waiting_table(RECORDS, night)).where(days.covers(F.col(C.DS)))
    records = not_before(cleaned, spark, settings, days).select(*RECORDS.names).persist()
    events = records.where(F.col(C.FATE) == CLEAN).select(*EVENTS.names)
    if earlier_events(spark, settings, days) is not None:
        clean = {row[C.DS]: row["count"] for row in events.groupBy(C.DS).count().collect()}
        made = {day: with_clean(row, clean.get(day, 0)) for day, row in made.items()}
    return Batch(days, events, accepted | made, waiting_table(RECORDS, night), records)


def settle(settings: Settings, night: date, accepted: Sequence[Interval]) -> None:
    """Removes what is cleaned of days that are taken in now; what the gate has left out stays, to be looked at.

    Of other nights what was cleaned before goes too: this is newer. A run that still cleans is left alone.
    """
    settled = {day for days in accepted for day in days.days}
    own = intake.cleaned_at(settings, night)
    # the own one comes last: it tells what is older
    for each in [*(other for other in intake.nights(settings) if other != night), night]:
        if intake.cleaned_at(settings, each) <= own:
            intake.forget(settings, each, settled)


def with_clean(row: dict[str, Any], clean: int) -> dict[str, Any]:
    """A row of `ingest_counts` with another number of clean records: the others are duplicates."""
    return row | {"clean": clean, "duplicates": row["raw"] - row["rejected"] - clean}


def accept(spark: SparkSession, settings: Settings, night: date, batch: Batch) -> None:
    """Takes a batch into the tables, days and catalogue. Run again after a kill, it ends in the same state.

    The counts come last: a day without them is not taken in. Those of an earlier time go first: killed in between, the
    day counts as missed, and the next night takes it in again.
    """
    if batch.records is None:
        return
    days = batch.days
    within = f"ds >= '{days.start}' AND ds < '{days.end}'"
    if lake.count(settings, INGEST_COUNTS, days.covers(pads.field(C.DS))):
        replace_rows(settings, INGEST_COUNTS, [], within)
    accept_items(spark, settings, night, days)
    rejected = batch.records.where(F.col(C.FATE) == REJECTED)
    lake.replace(rejected.hint("rebalance", C.DS), settings, EVENTS_REJECTED, within)

    repeated = batch.records.where(F.col(C.FATE) == REPEATED).select(*EVENTS.names)
    later = later_days(spark, settings, batch)
    changed = sorted(later.clean) if later else []
    where = f"({within})" + (f" OR ds IN ({_listed(changed)})" if changed else "")
    if later:
        repeated = repeated.unionByName(later.repeated)
    if not repeated.isEmpty() or lake.count(settings, EVENTS_REPEATED, days.covers(pads.field(C.DS))):
        lake.replace(repeated.hint("rebalance", C.DS), settings, EVENTS_REPEATED, where)
    events = batch.events.unionByName(later.events) if later else batch.events
    in_order = events.hint("rebalance", C.DS).sortWithinPartitions(C.DS, C.USER_ID, C.EVENT_TIME, C.EVENT_ID)
    lake.replace(in_order, settings, EVENTS, where)

    files = [row for row in lake.rows(settings, waiting_table(INGEST_FILES, night)) if days.covers(row[C.DS])]
    replace_rows(settings, INGEST_FILES, files, within)
    rows = {day: row for day, row in batch.counts.items() if days.covers(day)}
    rows |= {day: with_clean(batch.counts[day], clean) for day, clean in later.clean.items()} if later else {}
    replace_rows(settings, INGEST_COUNTS, list(rows.values()), where)


def replace_rows(settings: Settings, table: Table, rows: Sequence[dict[str, Any]], where: str) -> None:
    """`lake.replace_small` for rows as dictionaries."""
    lake.replace_small(settings, table, [tuple(row[name] for name in table.names) for row in rows], where)


def accept_items(spark: SparkSession, settings: Settings, night: date, days: Interval) -> None:
    """Takes in what a run brings of the catalogue; of log records that name items those of ``days``.

    A whole catalogue comes in with the night's own days, and leaves those of other days as they are.
    """
    table = waiting_table(CATALOGUE_RECORDS, night)
    if not lake.exists(settings, table):
        return
    records = lake.read(spark, settings, table)
    whole = records.where(C.WHOLE).select(C.DS).first()
    if whole and not days.covers(night):
        return
    where = f"ds = '{whole[C.DS]}'" if whole else f"ds >= '{days.start}' AND ds < '{days.end}'"
    records = records.where(where)
    rejected = records.where(F.col(C.REASON).isNotNull())
    lake.replace(rejected.coalesce(1), settings, ITEMS_REJECTED, where)
    lake.replace(records.where(F.col(C.REASON).isNull()), settings, ITEMS, where)


@dataclass(frozen=True)
class LaterDays:
    """Days after a batch whose events change with it, because they and the batch repeat each other's."""

    events: DataFrame  # all rows of `events` that these days have from now on
    repeated: DataFrame  # all rows of `events_repeated`
    clean: dict[date, int]  # number of events of each


def later_days(spark: SparkSession, settings: Settings, batch: Batch) -> LaterDays | None:
    """What a batch changes in days that were taken in before it; None where it changes nothing."""
    end, late = batch.days.end, timedelta(days=settings.ingest.late_days)
    days = [day for day in batch.counts if end <= day < end + late]
    if not days:
        return None
    # those that are taken in: what a killed run has left of others comes in again with them
    between = F.col(C.DS).isin(days)
    before = lake.read(spark, settings, EVENTS).where(between)
    kept = lake.read_or_empty(spark, settings, EVENTS_REPEATED).where(between)
    key = [C.DS, C.EVENT_ID]
    pool = before.unionByName(kept).dropDuplicates(key)
    everything = pool.select(*key).unionByName(batch.events.select(*key))
    if (earlier := earlier_events(spark, settings, batch.days)) is not None:
        everything = everything.unionByName(earlier)
    first = everything.groupBy(C.EVENT_ID).agg(F.min(C.DS).alias(C.DS))
    counting = pool.join(first, key, "left_semi").persist()
    gone = before.join(counting, key, "left_anti")
    new = counting.join(before, key, "left_anti")
    changed = {row[C.DS] for row in gone.select(C.DS).union(new.select(C.DS)).distinct().collect()}
    clean = dict.fromkeys(days, 0) | {row[C.DS]: row["count"] for row in counting.groupBy(C.DS).count().collect()}
    # of a run that was killed after the events and before the counts
    changed |= {day for day in days if batch.counts[day]["clean"] != clean[day]}
    if not changed:
        return None
    log.info("Events that other days repeat change %s.", ", ".join(map(str, sorted(changed))))
    of_changed = F.col(C.DS).isin(*changed)
    repeated = kept.unionByName(gone).where(of_changed).dropDuplicates(key)
    return LaterDays(counting.where(of_changed), repeated, {day: clean[day] for day in changed})


def _listed(days: Sequence[date]) -> str:
    return ", ".join(f"'{day}'" for day in days)
