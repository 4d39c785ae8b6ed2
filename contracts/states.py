"""What can become of a night and of an expectation, and which row of `publications` counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from contracts.columns import Columns as C

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


def has_later_model(row: Row) -> bool:
    """Whether a row of `publications` tells of lists whose model knew what users did after the night."""
    as_of = row.get(C.MODEL_AS_OF)
    return as_of is not None and as_of > row[C.DS] + timedelta(days=1)


def origin(row: Row) -> str:
    """When and by which run a row of `publications` was written, in words."""
    return f"published {row[C.PUBLISHED_AT]:%Y-%m-%d %H:%M} UTC by run {row[C.RUN_ID]}"


def is_critical_failure(result: Mapping[str, Any]) -> bool:
    """Whether a row of `quality_results` stops the night."""
    return result[C.SEVERITY] == CRITICAL and not result[C.SUCCESS]
