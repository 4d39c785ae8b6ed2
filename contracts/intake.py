"""What runs have cleaned and the gate has not passed: it waits in a folder a night, and is no part of the tables yet.

A run that goes on has some for a moment; what stays belongs to a night that was killed, or that the gate has stopped.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from contracts import lake, places
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import EVENTS_REJECTED, INGEST_COUNTS, INGEST_FILES, RECORDS, Table, intake_folder, waiting_table

if TYPE_CHECKING:
    import pyarrow.dataset as pads

Counts = dict[date, dict[str, Any]]
"""Rows of `ingest_counts` by day."""


def nights(settings: Settings) -> list[date]:
    """The nights whose runs have cleaned days that are not taken in."""
    there = places.names(settings.lake / "staging")
    return sorted(date.fromisoformat(name.partition("_")[2]) for name in there if name.startswith("intake_"))


def cleaned_at(settings: Settings, night: date) -> float:
    """When the run of a night had cleaned its days, seconds since 1970; endless while it has not."""
    first_commit = lake.path(settings, waiting_table(RECORDS, night)) / "_delta_log" / f"{0:020}.json"
    return first_commit.stat().st_mtime if first_commit.exists() else math.inf


def waiting(settings: Settings, night: date) -> Counts:
    """The balance of each day that the run of a night has cleaned, and that is not taken in; none while it cleans."""
    if not lake.exists(settings, waiting_table(RECORDS, night)):
        return {}
    return {row[C.DS]: row for row in lake.rows(settings, waiting_table(INGEST_COUNTS, night))}


def accepted(settings: Settings) -> Counts:
    """The balance of each day that was taken in."""
    return {row[C.DS]: row for row in lake.rows(settings, INGEST_COUNTS)}


def cleaned(settings: Settings) -> Counts:
    """The balance of each day as it was cleaned last, whether the gate has passed it or not."""
    counts = accepted(settings)
    for night in nights(settings):
        counts |= waiting(settings, night)
    return counts


def rejects(settings: Settings) -> Iterator[tuple[Table, pads.Expression]]:
    """The tables that have the rejects of the days as they were cleaned last, and which rows of each are that."""
    import pyarrow.dataset as pads

    newest: dict[date, date] = {}
    for night in nights(settings):
        newest |= dict.fromkeys(waiting(settings, night), night)
    if lake.exists(settings, EVENTS_REJECTED):
        yield EVENTS_REJECTED, ~pads.field(C.DS).isin(list(newest)) if newest else pads.scalar(value=True)
    for night in sorted(set(newest.values())):
        days = [day for day, of in newest.items() if of == night]
        yield waiting_table(RECORDS, night), pads.field(C.DS).isin(days) & pads.field(C.REASON).is_valid()


def rejected_by_day(settings: Settings, where: pads.Expression | None = None) -> dict[tuple[date, str], int]:
    """Number of rejected records, all or those of ``where``, by day and reason."""
    found: dict[tuple[date, str], int] = {}
    for table, those in rejects(settings):
        wanted = those if where is None else where & those
        for row in lake.counts(settings, table, [C.DS, C.REASON], wanted).to_pylist():
            found[row[C.DS], row[C.REASON]] = row[lake.COUNT]
    return found


def some_rejects(
    settings: Settings, columns: Sequence[str], where: pads.Expression, at_most: int
) -> list[dict[str, Any]]:
    """At most so many rejected records of each of `rejects`' tables."""
    return [
        row
        for table, those in rejects(settings)
        for row in lake.some_rows(settings, table, columns, where & those, at_most)
    ]


def forget(settings: Settings, night: date, days: Collection[date]) -> None:
    """Removes some days of what the run of a night has cleaned; all if none is left.

    The balance goes first: without it nothing is there to take in, whatever a killed one leaves of the rest.
    """
    there = waiting(settings, night)
    left = sorted(there.keys() - set(days))
    if there and not left:
        drop(settings, night)
    elif len(left) < len(there):
        of_others = " AND ".join(f"ds <> '{day}'" for day in left)
        for table in (INGEST_COUNTS, RECORDS, INGEST_FILES):
            lake.replace_small(settings, waiting_table(table, night), [], of_others)


def drop(settings: Settings, night: date) -> None:
    """Removes what the run of a night has cleaned: all of its tables or, when killed, what nobody takes in."""
    folder = settings.lake / intake_folder(night)
    if places.is_remote(folder):
        # no folder can be renamed there: without a balance the rest counts for nothing, until the next one removes it
        balance = waiting_table(INGEST_COUNTS, night)
        if lake.exists(settings, balance):
            lake.replace_small(settings, balance, [], "true")
        places.remove(folder)
        return
    dropped = folder.with_name(f".{folder.name}")
    places.remove(dropped)  # what a killed one has left
    if folder.exists():
        folder.rename(dropped)
        places.remove(dropped)
