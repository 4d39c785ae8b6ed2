"""The page's section on what the night took: seconds and counts of each step, and what a thousand users cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow.dataset as pads
from markupsafe import Markup

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.night_steps import COMPARED, EXACT_MATCHES, FOUND_MATCHES
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import NIGHT_STEPS
from spark_jobs.reporting import plots
from spark_jobs.reporting.formats import count, day_label, percent

NIGHTS = 28
"""Nights that are shown."""
SCORE, USERS = "score_users", ("users scored", "users carried")
"""The step that says for how many users a night was, and its counts of them."""


@dataclass(frozen=True)
class Costs:
    """What a night took, and those before it."""

    rows: list[tuple[str, str, str, str]]  # step, seconds, share, what it did
    total: str
    per_thousand: str | None  # price of a thousand users; None where no price is set, or nobody was scored
    recall: str | None  # what approximate search found of what exact search finds; None where all was exact
    trend: Markup  # seconds of the last nights, by step


def costs(settings: Settings, ds: date) -> Costs | None:
    """The section of a night; None where no step of it has ended.

    The steps are those that ended before the page was made: its own is not among them.
    """
    days = Interval(ds - timedelta(days=NIGHTS - 1), ds + timedelta(days=1))
    rows = sorted(lake.rows(settings, NIGHT_STEPS, days.covers(pads.field(C.DS))), key=lambda row: row[C.ENDED_AT])
    own = [row for row in rows if row[C.DS] == ds]
    if not own:
        return None
    seconds = sum(row[C.SECONDS] for row in own)
    return Costs(
        [
            (row[C.STEP], f"{row[C.SECONDS]:,.0f} s", percent(row[C.SECONDS] / seconds), in_words(row[C.COUNTS]))
            for row in own
        ],
        f"{seconds:,.0f} s",
        per_thousand(own, settings.costs.price_per_hour),
        recall(own),
        trend(rows),
    )


def in_words(counts: dict[str, int]) -> str:
    """Counts as people read them: ``2,468 users scored, 0 users carried``."""
    return ", ".join(f"{count(number)} {what}" for what, number in counts.items())


def per_thousand(steps: Sequence[Row], price_per_hour: float | None) -> str | None:
    """What a thousand users of a night cost; ``steps`` are its rows of `night_steps`."""
    users = sum(row[C.COUNTS].get(name, 0) for row in steps if row[C.STEP] == SCORE for name in USERS)
    if price_per_hour is None or not users:
        return None
    return f"{sum(row[C.SECONDS] for row in steps) / 3600 * price_per_hour / users * 1000:.4f}"


def recall(steps: Sequence[Row]) -> str | None:
    """What approximate search missed, in words; ``steps`` are the rows of a night in `night_steps`."""
    for counts in (row[C.COUNTS] for row in steps if row[C.STEP] == SCORE):
        if exact := counts.get(EXACT_MATCHES, 0):
            found = percent(counts[FOUND_MATCHES] / exact)
            return f"{found} of what exact search finds, of {count(counts[COMPARED])} users searched both ways"
    return None


def trend(rows: Sequence[Row]) -> Markup:
    """A bar for each night, of its steps' seconds; nothing of a single one."""
    nights = sorted({row[C.DS] for row in rows})
    if len(nights) < 2:
        return Markup("")
    steps = list(dict.fromkeys(row[C.STEP] for row in rows))
    took = {(row[C.DS], row[C.STEP]): row[C.SECONDS] for row in rows}
    series = {step: [took.get((night, step), 0.0) for night in nights] for step in steps}
    return plots.stacked_bars("Seconds of each night's steps", [day_label(night) for night in nights], series)
