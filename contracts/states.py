"""What can become of a night and of an expectation, and which row of `publications` counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any

from contracts.columns import Columns as C
from contracts.interval import day_ends

PUBLISHED, HELD = "published", "held"
"""States of a row of `publications`."""

CRITICAL, WARNING = "critical", "warning"
"""Severities of an expectation: a critical one that fails stops the night, a warning goes on the report."""

Row = dict[str, Any]


def newest(rows: Iterable[Row]) -> Row | None:
    """The row of `publications` that was written last."""
    return max(rows, key=lambda row: (row[C.PUBLISHED_AT], row[C.STATUS]), default=None)


def newest_published(rows: Iterable[Row]) -> Row | None:
    """The newest row of the newest night that was published: the lists that readers of these rows get."""
    published = (row for row in rows if row[C.STATUS] == PUBLISHED)
    return max(published, key=lambda row: (row[C.DS], row[C.PUBLISHED_AT]), default=None)


def is_early(row: Row, zone: tzinfo) -> bool:
    """Whether a row of `publications` was written before its day was over: its lists know only a part of the day."""
    return bool(row[C.PUBLISHED_AT] < day_ends(row[C.DS], zone))


def has_later_model(row: Row) -> bool:
    """Whether a row of `publications` tells of lists whose model knew what users did after the night."""
    as_of = row.get(C.MODEL_AS_OF)
    return as_of is not None and as_of > row[C.DS] + timedelta(days=1)


def origin(row: Row) -> str:
    """When and by which run a row of `publications` was written, in words."""
    return f"published {row[C.PUBLISHED_AT]:%Y-%m-%d %H:%M} UTC by run {row[C.RUN_ID]}"


def readers_get(
    rows: Sequence[Row], night: date | None = None, run_id: str | None = None, *, replaced: bool = False
) -> str:
    """What readers get now, in words, as the message, the page and the banner of a night say it.

    Args:
        rows: Those of `publications`.
        night: The night that is spoken of: when readers get other lists than its own, they get them *still*.
        run_id: The run that is spoken of: lists of another one are this night's *earlier* ones.
        replaced: Whether a run that was killed has replaced the night's lists since its row was written.
    """
    live = newest_published(rows)
    if live is None:
        return "nothing was ever published, readers get no lists"
    if night is None or (live[C.DS] == night and live[C.RUN_ID] == run_id and not replaced):
        return f"readers get the lists of {live[C.DS]}, {origin(live)}"
    if live[C.DS] != night:
        return f"readers still get the lists of {live[C.DS]}, {origin(live)}"
    since = ", then replaced by a run that did not come to its end" if replaced else ""
    return f"readers still get this same night's earlier lists, {origin(live)}{since}"


def is_critical_failure(result: Mapping[str, Any]) -> bool:
    """Whether a row of `quality_results` stops the night."""
    return result[C.SEVERITY] == CRITICAL and not result[C.SUCCESS]
