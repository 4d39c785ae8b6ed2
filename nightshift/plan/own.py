"""What this shop's own nights say of the model: how large they were, and by how much they were slower than it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from contracts import lake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import EVENTS, NIGHT_STEPS
from nightshift.bench_night.shop import NIGHT
from nightshift.plan.model import Rates, Shop

NIGHTS = 7
"""The newest nights that count, and the median of each step's."""


@dataclass(frozen=True)
class OwnNight:
    """One night: its size, the seconds of its steps, and what memory it took at most, where that was looked at."""

    ds: date
    shop: Shop
    seconds: Mapping[str, float]
    memory: Mapping[str, float] = field(default_factory=dict)  # bytes, by kind of process


def own_nights(settings: Settings) -> list[OwnNight]:
    """The newest nights of this home, newest first; none where none was scored."""
    if not lake.exists(settings, NIGHT_STEPS) or not lake.exists(settings, EVENTS):
        return []
    return nights_of(lake.rows(settings, NIGHT_STEPS), lake.count(settings, EVENTS), cores_of(settings))


def nights_of(rows: Sequence[Row], events: int, cores: int) -> list[OwnNight]:
    """Nights from rows of `night_steps`, for a history of so many ``events``, as it is now.

    A night counts if all lists were scored (lists that are carried over cost next to nothing) and its items are known.
    """
    found = []
    for ds in sorted({row[C.DS] for row in rows}, reverse=True):
        steps = {row[C.STEP]: row for row in rows if row[C.DS] == ds}
        counts: dict[str, int] = {}
        for row in steps.values():
            counts |= row[C.COUNTS]
        users, items = counts.get("users scored", 0), counts.get("items encoded", 0) + counts.get("items reused", 0)
        if not users or not items or counts.get("users carried", 0):
            continue
        days = max(events / max(counts.get("records", 0), 1), 1.0)
        shop = Shop(users, items, events / users, days, cores)
        found.append(OwnNight(ds, shop, {step: row[C.SECONDS] for step, row in steps.items()}))
    return found[:NIGHTS]


def cores_of(settings: Settings) -> int:
    """Cores that Spark has by the settings: those of this machine with a master ``local[*]``."""
    master = settings.spark.master
    if not master.startswith("local"):
        return settings.spark.executors * settings.spark.executor_cores
    number = master.removeprefix("local").strip("[]").split(",")[0]
    return int(number) if number.isdecimal() else 1 if not number else os.cpu_count() or 1


def corrected(rates: Rates, nights: Sequence[OwnNight]) -> Rates:
    """The rates with the factor of each step by which these nights were slower than the model, the median of theirs."""
    plain = replace(rates, factors={})
    factors = {
        step: statistics.median(
            night.seconds[step] / plain.seconds(night.shop, step) for night in nights if step in night.seconds
        )
        for step in rates.steps
        if any(step in night.seconds for night in nights)
    }
    return replace(rates, factors=factors)


def measured_night(night: Mapping[str, Any], cores: int, days: float) -> OwnNight:
    """A night of the JSON that `nightshift bench-night` writes.

    Raises:
        KeyError, TypeError: it is none.
    """
    size, steps = night["size"], night["steps"]
    shop = Shop(night["users"], size["items"], size["events"] / night["users"], days, cores)
    memory: dict[str, float] = {}
    for step in steps:
        for kind, peak in step["peaks"].items():
            memory[kind] = max(memory.get(kind, 0.0), peak)
    return OwnNight(NIGHT, shop, {step["name"]: step["seconds"] for step in steps}, memory)
