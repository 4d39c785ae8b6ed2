"""What came in and how good it was: expectations by suite, volumes of the logs, rejected records."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow.dataset as pads
from markupsafe import Markup

from contracts import intake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import Row
from spark_jobs.reporting import plots
from spark_jobs.reporting.formats import day_label
from spark_jobs.reporting.night import NightTables
from spark_jobs.reporting.pseudonyms import masked, pseudonym_key

DAYS = 28
"""Days that the volumes go back."""
REJECTS_SHOWN = 3
"""Records shown of each reason."""
REJECTS_READ = 1000
"""Records among which these are chosen."""


@dataclass(frozen=True)
class Rejects:
    """Rejected records of the last 28 days and of the night."""

    plot: Markup
    of_night: list[tuple[str, int, list[str]]]  # reason, rows, some records


def expectations(night: NightTables) -> dict[str, list[Row]]:
    """Results by suite; failed ones first, critical before warning."""
    suites: dict[str, list[Row]] = defaultdict(list)
    order = sorted(night.quality, key=lambda row: (row[C.SUITE], row[C.SUCCESS], row[C.SEVERITY], row[C.EXPECTATION]))
    for row in order:
        suites[row[C.SUITE]].append(row)
    return dict(suites)


def volumes(night: NightTables) -> Markup:
    """Clean, rejected and duplicate records of the last 28 days."""
    if not night.counts:
        return Markup("")
    days = _days(night)
    series = {
        name: [float(night.counts[day][name]) if day in night.counts else 0.0 for day in days]
        for name in ("clean", "rejected", "duplicates")
    }
    return plots.stacked_bars("Log records a day", [day_label(day) for day in days], series)


def rejects(settings: Settings, night: NightTables) -> Rejects:
    """Rejects by reason, the commonest of the last 28 days first."""
    days = _days(night)
    by_day = intake.rejected_by_day(settings, (pads.field(C.DS) >= days[0]) & (pads.field(C.DS) <= days[-1]))
    totals: Counter[str] = Counter()
    for (_, reason), rows in by_day.items():
        totals[reason] += rows
    reasons = sorted(totals, key=lambda reason: (-totals[reason], reason))
    series = {reason: [float(by_day.get((day, reason), 0)) for day in days] for reason in reasons}
    labels = [day_label(day) for day in days]
    plot = plots.stacked_bars("Rejected records a day", labels, series) if series else Markup("")
    of_night = [
        (reason, rows, _rejected_records(settings, night.ds, reason))
        for reason in reasons
        if (rows := by_day.get((night.ds, reason), 0))
    ]
    return Rejects(plot, of_night)


def _days(night: NightTables) -> list[date]:
    """The last 28 days, the night's last."""
    return [night.ds - timedelta(days=n) for n in reversed(range(DAYS))]


def _rejected_records(settings: Settings, ds: date, reason: str) -> list[str]:
    """Some records of a day that were rejected for a reason, users under pseudonyms."""
    where = (pads.field(C.DS) == ds) & (pads.field(C.REASON) == reason)
    some = intake.some_rejects(settings, [C.EVENT_ID, C.RAW], where, REJECTS_READ)
    records = [row[C.RAW] for row in sorted(some, key=lambda row: (row[C.EVENT_ID], row[C.RAW]))]
    key = pseudonym_key(settings)
    return [masked(record, key) for record in records[:REJECTS_SHOWN]]
