"""What changed since the last night: figures of two nights next to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from contracts.columns import Columns as C
from contracts.states import Row
from contracts.tables import LIST_SOURCES
from spark_jobs.reporting.formats import count, percent
from spark_jobs.reporting.night import NightTables

MEASURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("distinct items", "distinct_items", count),
    ("share of the catalogue", "catalogue_share", percent),
    ("reach of the commonest item", "top_item_share", percent),
    ("mean share of a list that is new", "churn", percent),
    *((f"from {source}", f"source_{source}", percent) for source in LIST_SOURCES),
)
"""What is compared of the audit's measures: its name, the measure, and how it is written."""


@dataclass(frozen=True)
class Change:
    """A figure of this night next to the last one."""

    name: str
    before: str
    now: str
    change: str


def changes(night: NightTables) -> list[Change]:
    """This night next to the last published one, and its log next to the day's before."""
    now, before = night.own, night.last
    rows = _of_lists(before, now) if now and before else []
    today, yesterday = night.counts.get(night.ds), night.counts.get(night.ds - timedelta(days=1))
    if today and yesterday:
        rows.append(_change("clean events of the day", yesterday["clean"], today["clean"], count))
        rows.append(_change("rejected share of the day", _rejected_share(yesterday), _rejected_share(today), percent))
    return rows


def _of_lists(before: Row, now: Row) -> list[Change]:
    """Two rows of `publications` next to each other."""
    same = "same" if before[C.MODEL_ID] == now[C.MODEL_ID] else "new model"
    return [
        Change("model", before[C.MODEL_ID], now[C.MODEL_ID], same),
        _change("users with a list", before[C.USERS], now[C.USERS], count),
        *(
            _change(name, before[C.MEASURES].get(measure), now[C.MEASURES].get(measure), form)
            for name, measure, form in MEASURES
        ),
    ]


def _rejected_share(row: Row) -> float | None:
    """Rejected records of a day's log; null for an empty log."""
    return row["rejected"] / row["raw"] if row["raw"] else None


def _change(name: str, before: float | None, now: float | None, form: Callable[[float], str]) -> Change:
    """Two figures with their difference: of shares in points."""
    if before is None or now is None:
        change = ""
    elif form is percent:
        change = f"{round((now - before) * 100, 1) + 0.0:+.1f} points"  # + 0.0: never -0.0
    else:
        change = f"{now - before:+,.0f}" + (f" ({now / before - 1:+.1%})" if before else "")
    was, is_now = ("not known" if value is None else form(value) for value in (before, now))
    return Change(name, was, is_now, change)
