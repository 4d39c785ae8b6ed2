"""The page's section on drift: how far the week has moved from the model's training, and how that went on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow.dataset as pads
from markupsafe import Markup

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import DRIFT_RESULTS
from models.catalogue import ATTRIBUTES
from spark_jobs.quality.drift import BEHAVIOURS, MEASURES, NEW_ITEMS, NEW_USERS, VOLUME, Measure
from spark_jobs.quality.drift_text import TITLES, moved, value
from spark_jobs.reporting import plots
from spark_jobs.reporting.formats import day_label
from spark_jobs.reporting.night import NightTables

NIGHTS = 28
"""Nights that are shown."""

PLOTS = (
    ("Behaviours, newcomers and volume: part of the way to the bound", (BEHAVIOURS, NEW_ITEMS, NEW_USERS, VOLUME)),
    ("Attributes of the items: part of the way to the bound", ATTRIBUTES),
)
"""The plots, and the measures of each."""


@dataclass(frozen=True)
class DriftSection:
    """Drift of a night, and of those before it."""

    rows: list[tuple[str, str, str, str, str]]  # title, what has moved, value, bound, state
    model_id: str
    decision: str
    other_run: str | None  # which measured, if not the one whose publication the page shows
    trends: list[tuple[str, Markup]]


def section(settings: Settings, night: NightTables) -> DriftSection | None:
    """The section of a night; None where nothing was measured in it."""
    days = Interval(night.ds - timedelta(days=NIGHTS - 1), night.ds + timedelta(days=1))
    rows = lake.rows(settings, DRIFT_RESULTS, days.covers(pads.field(C.DS)))
    own = [row for row in rows if row[C.DS] == night.ds]
    if not own:
        return None
    own.sort(key=lambda row: MEASURES.index(row[C.MEASURE]))
    return DriftSection(
        [_shown(measure_of(row)) for row in own],
        own[0][C.MODEL_ID],
        own[0][C.DECISION],
        own[0][C.RUN_ID] if night.own and night.own[C.RUN_ID] != own[0][C.RUN_ID] else None,
        [(title, plot) for title, names in PLOTS if (plot := _trend(title, names, rows))],
    )


def measure_of(row: Row) -> Measure:
    """What a row of `drift_results` tells."""
    return Measure(row[C.MEASURE], row[C.VALUE], row[C.BOUND], row[C.NAME], row[C.BEFORE], row[C.NOW], row[C.NOTE])


def _shown(each: Measure) -> tuple[str, str, str, str, str]:
    state = "" if each.value is None or each.bound is None else "drifted" if each.drifted else "within"
    return TITLES[each.measure], moved(each), value(each, each.value), value(each, each.bound), state


def part_of_bound(each: Measure) -> float | None:
    """How much of the way to its bound a measure has gone, 1 is the bound; a volume's begins at 1 ×, below is none."""
    start = 1.0 if each.measure == VOLUME else 0.0
    if each.value is None or each.bound is None or each.bound <= start:
        return None
    return max(0.0, (each.value - start) / (each.bound - start))


def _trend(title: str, names: Sequence[str], rows: Sequence[Row]) -> Markup:
    """A line for each measure that was measured, and one for the bound."""
    nights = sorted({row[C.DS] for row in rows})
    series: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        of_name = sorted((row for row in rows if row[C.MEASURE] == name), key=lambda row: row[C.DS])
        parts = [(float(row[C.DS].toordinal()), part_of_bound(measure_of(row))) for row in of_name]
        if points := [(at, part) for at, part in parts if part is not None]:
            series[TITLES[name]] = points
    if not series:
        return Markup("")
    series["bound"] = [(float(ds.toordinal()), 1.0) for ds in nights]
    return plots.lines(title, series, {float(ds.toordinal()): day_label(ds) for ds in nights}, show_points=True)
