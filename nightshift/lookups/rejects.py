"""Records that are no events and no items: how many, why, and some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow.dataset as pads

from contracts import catalogue, intake, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Settings
from contracts.tables import CATALOGUE_RECORDS, INGEST_COUNTS, ITEMS_REJECTED, waiting_table
from nightshift.lookups.published import newest_days
from spark_jobs.reporting.pseudonyms import MAX_RECORD, masked, pseudonym_key

EXAMPLES = 3
"""Records shown of each reason."""
READ = 1000
"""Records among which these are chosen."""


@dataclass(frozen=True)
class Record:
    """A record that was rejected: its file, below the landing folder, and the record, shortened."""

    file: str
    record: str


@dataclass(frozen=True)
class Reason:
    """A reason with its records."""

    reason: str
    records: int
    share: float | None  # of all records that came with them; None where none came
    examples: tuple[Record, ...]


@dataclass(frozen=True)
class Day:
    """A day's log."""

    ds: date
    raw: int
    rejected: int  # for all reasons, or for the one that is asked for
    by_reason: dict[str, int]


@dataclass(frozen=True)
class Rejects:
    """What was rejected of the logs of some days, and of the catalogue as of the newest run; commonest first."""

    start: date
    end: date  # the last day, not the one after it
    raw: int
    rejected: int
    reasons: tuple[Reason, ...]
    days: tuple[Day, ...]
    catalogue: tuple[Reason, ...]


def rejects(
    settings: Settings, start: date | None, end: date | None, reason: str | None = None, *, ids: bool = False
) -> Rejects:
    """Rejects of the days from ``start`` to ``end``, both included; None stands for the newest day with a log.

    Args:
        settings: Where the tables are.
        start: First day.
        end: Last day.
        reason: Only this reason.
        ids: Show the users of records, instead of pseudonyms.

    Raises:
        InputError: no log of these days was taken in; the message names days that have one.
    """
    counts = intake.cleaned(settings)
    if not counts:
        raise InputError(f"No log was taken in yet (table {lake.path(settings, INGEST_COUNTS)}).")
    end = end or max(counts)
    start = start or end
    days = sorted(ds for ds in counts if start <= ds <= end)
    if not days:
        asked = str(start) if start == end else f"{start} to {end}"
        raise InputError(f"No log of {asked} was taken in. Days with a log: {newest_days(counts)}.")
    inside = (pads.field(C.DS) >= start) & (pads.field(C.DS) <= end)
    if reason is not None:
        inside &= pads.field(C.REASON) == reason
    by_day = intake.rejected_by_day(settings, inside)
    raw = sum(counts[ds]["raw"] for ds in days)
    totals: dict[str, int] = {}
    for (_, name), records in by_day.items():
        totals[name] = totals.get(name, 0) + records
    return Rejects(
        days[0],
        days[-1],
        raw,
        sum(totals.values()) if reason else sum(counts[ds]["rejected"] for ds in days),
        tuple(
            Reason(
                name,
                totals[name],
                totals[name] / raw if raw else None,
                _events(settings, inside & (pads.field(C.REASON) == name), ids=ids),
            )
            for name in _commonest(totals)
        ),
        tuple(
            Day(ds, counts[ds]["raw"], sum(of_day.values()) if reason else counts[ds]["rejected"], of_day)
            for ds in days
            for of_day in ({name: by_day[ds, name] for name in _commonest(totals) if (ds, name) in by_day},)
        ),
        _catalogue(settings, days[-1], reason),
    )


def _commonest(totals: Mapping[str, int]) -> list[str]:
    return sorted(totals, key=lambda name: (-totals[name], name))


def _events(settings: Settings, where: pads.Expression, *, ids: bool) -> tuple[Record, ...]:
    """Some records of logs, always the same of the same tables; users under pseudonyms, unless ``ids``."""
    rows = _first(intake.some_rejects(settings, [C.SOURCE_FILE, C.RAW], where, READ))
    if ids:
        return tuple(Record(row[C.SOURCE_FILE], shortened(row[C.RAW])) for row in rows)
    key = pseudonym_key(settings)
    return tuple(Record(row[C.SOURCE_FILE], masked(row[C.RAW], key)) for row in rows)


def _first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row[C.SOURCE_FILE], row[C.RAW]))[:EXAMPLES]


def _catalogue(settings: Settings, night: date, reason: str | None) -> tuple[Reason, ...]:
    """Rejects of the catalogue of a night: of one that the gate has not passed, where there is one."""
    waits = waiting_table(CATALOGUE_RECORDS, night)
    found = catalogue.version(settings, Edition(night))
    if lake.exists(settings, waits):
        table, where, items = waits, pads.field(C.REASON).is_valid(), lake.count(settings, waits)
    elif found:
        table, where = ITEMS_REJECTED, pads.field(C.DS) == found.newest
        items = catalogue.arrow(settings, Edition(night), [C.ITEM_ID]).num_rows + lake.count(settings, table, where)
    else:
        return ()
    rows = (
        lake.arrow(settings, table, [C.REASON, C.SOURCE_FILE, C.RAW], where) if lake.exists(settings, table) else None
    )
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist() if rows else []:
        by_reason.setdefault(row[C.REASON], []).append(row)
    return tuple(
        Reason(
            name,
            len(by_reason[name]),
            len(by_reason[name]) / items,
            tuple(Record(row[C.SOURCE_FILE], shortened(row[C.RAW])) for row in _first(by_reason[name])),
        )
        for name in _commonest({name: len(each) for name, each in by_reason.items()})
        if reason in (None, name)
    )


def shortened(record: str) -> str:
    """A record, cut where it is long."""
    return record if len(record) <= MAX_RECORD else f"{record[: MAX_RECORD - 1]}…"
