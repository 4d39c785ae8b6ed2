"""Why records were rejected: the reasons with their numbers, and one record to look at. Needs no Spark."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

import pyarrow.dataset as pads

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import EVENTS_REJECTED, Table

REASONS_NAMED = 5
"""Reasons that a message names, the commonest first."""
SHOWN = 200
"""Characters of the example that a message shows."""


@dataclass(frozen=True)
class Rejects:
    """Rejected records that count, and one of the commonest reason."""

    by_reason: dict[str, int]  # commonest first, ties by name
    file: str
    record: str

    def text(self, raw: float, masked: Callable[[str], str]) -> str:
        """The reasons as shares of ``raw`` records, and the example as ``masked`` lets people see it."""
        named = list(self.by_reason.items())[:REASONS_NAMED]
        reasons = ", ".join(f"{reason} {rows / max(raw, 1):.1%}" for reason, rows in named)
        others = len(self.by_reason) - len(named)
        more = f" and {others} more reason{'s' * (others > 1)}" if others else ""
        record = masked(self.record)
        shown = record if len(record) <= SHOWN else f"{record[: SHOWN - 1]}…"
        return f"Rejected of {raw:,.0f} records: {reasons}{more}; for example ({named[0][0]}) in {self.file}: {shown}"


def of_events(settings: Settings, interval: Interval, table: Table = EVENTS_REJECTED) -> Rejects | None:
    """Rejected log records of some days in ``table`` but for expected ones; None where there are none."""
    return _rejects(settings, table, interval.covers(pads.field(C.DS)), settings.ingest.expected_rejects)


def of_items(settings: Settings, table: Table, day: date) -> Rejects | None:
    """Rejected records in ``table`` of a day's catalogue; None where there are none."""
    return _rejects(settings, table, pads.field(C.DS) == day, ())


def expected_events(settings: Settings, interval: Interval, table: Table = EVENTS_REJECTED) -> int:
    """Number of rejected log records of some days in ``table`` that are expected."""
    counts = _by_reason(settings, table, interval.covers(pads.field(C.DS)))
    return sum(rows for reason, rows in counts.items() if reason in settings.ingest.expected_rejects)


def count_of_items(settings: Settings, table: Table, day: date) -> int:
    """Number of rejected records in ``table`` of a day's catalogue."""
    return lake.count(settings, table, (pads.field(C.DS) == day) & pads.field(C.REASON).is_valid())


def _by_reason(settings: Settings, table: Table, where: pads.Expression) -> dict[str, int]:
    """Number of a table's rejected records by reason."""
    if not lake.exists(settings, table):
        return {}
    counts = lake.counts(settings, table, [C.REASON], where & pads.field(C.REASON).is_valid())
    return {row[C.REASON]: row[lake.COUNT] for row in counts.to_pylist()}


def _rejects(settings: Settings, table: Table, where: pads.Expression, expected: Collection[str]) -> Rejects | None:
    counts = _by_reason(settings, table, where)
    order = sorted((reason for reason in counts if reason not in expected), key=lambda name: (-counts[name], name))
    if not order:
        return None
    commonest = pads.field(C.REASON) == order[0]
    (example,) = lake.some_rows(settings, table, [C.SOURCE_FILE, C.RAW], commonest & where, 1)
    return Rejects({reason: counts[reason] for reason in order}, example[C.SOURCE_FILE], example[C.RAW])
