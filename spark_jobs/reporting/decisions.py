"""What the gate decided of the last challengers, and what it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from contracts import lake, model_ids
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import MODEL_DECISIONS

SHOWN = 3
"""Challengers that are shown."""


@dataclass(frozen=True)
class Decided:
    """A decision and its reasons."""

    model_id: str
    promoted: bool
    why: str
    checks: list[Row]  # of `model_decisions`, those that failed first


def decisions(settings: Settings, night: date) -> list[Decided]:
    """Those that there were when the night ended, newest first."""
    if not lake.exists(settings, MODEL_DECISIONS):
        return []
    rows = [
        row
        for row in lake.rows(settings, MODEL_DECISIONS)
        if not model_ids.knows_later(row[C.MODEL_ID], night + timedelta(days=1))
    ]
    outcomes = sorted((row for row in rows if not row["rival"]), key=_newest, reverse=True)
    return [_decided(row, rows) for row in outcomes[:SHOWN]]


def won(settings: Settings) -> dict[tuple[str, str], bool]:
    """Whether each challenger was promoted, by snapshot and model, of those that a gate has judged."""
    if not lake.exists(settings, MODEL_DECISIONS):
        return {}
    outcomes = lake.rows(settings, MODEL_DECISIONS, {"rival": ""})
    return {(row[C.SNAPSHOT_ID], row[C.MODEL_ID]): row["passed"] for row in outcomes}


def _newest(row: Row) -> tuple[str, str]:
    return row[C.SNAPSHOT_ID], row[C.MODEL_ID]


def _decided(outcome: Row, rows: Sequence[Row]) -> Decided:
    own = [row for row in rows if row["rival"] and _newest(row) == _newest(outcome)]
    own.sort(key=lambda row: (row["passed"], row["rival"], row[C.SEGMENT], row[C.METRIC]))
    return Decided(outcome[C.MODEL_ID], outcome["passed"], outcome["why"].partition(": ")[2], own)
