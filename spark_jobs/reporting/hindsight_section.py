"""The page's section on earlier nights: how their lists met the 7 days after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Baselines, Settings
from contracts.states import has_later_model, newest_published
from spark_jobs.reporting import plots
from spark_jobs.reporting.formats import day_label
from spark_jobs.reporting.hindsight import METRICS, Hindsight, recommenders, window
from spark_jobs.reporting.hindsight_table import remembered
from spark_jobs.reporting.hindsight_text import with_interval
from spark_jobs.reporting.night import NightTables

NIGHTS = 28
"""Earlier nights that are shown."""
METRIC = next(iter(METRICS))
"""The metric that is shown."""


@dataclass(frozen=True)
class HindsightSection:
    """Hindsight of earlier nights."""

    plot: Markup
    newest: Markup
    rows: list[tuple[date, str, int, list[str], str]]  # night, model, users, values, gain over own repeats
    recommenders: list[str]


def judged_nights(settings: Settings, night: NightTables) -> list[Hindsight]:
    """Results of the published nights whose 7 days were over when this night ended, oldest first.

    Those that the table `hindsight_results` has not are computed and written.
    """
    results = []
    for ds, content_hash in list(_published_before(night).items())[-NIGHTS:]:
        if night.counts.keys() >= set(window(ds).days):
            try:
                results.append(remembered(settings, ds, content_hash))
            except InputError:  # lists of old nights are cleared away
                continue
    return [result for result in results if result.users]


def section(judged: Sequence[Hindsight], rules: Baselines) -> HindsightSection | None:
    """The section on ``judged`` nights, which are oldest first."""
    if not judged:
        return None
    names, last = recommenders(rules), judged[-1]
    _, repeats, _ = names
    label = METRICS[METRIC]
    series = {
        shown: [(float(result.ds.toordinal()), result.values[name][METRIC].mean) for result in judged]
        for name, shown in names.items()
    }
    days = {float(result.ds.toordinal()): day_label(result.ds) for result in judged}
    plot = plots.lines(f"{label} in the 7 days after each night", series, days, show_points=True)
    bars = [
        plots.Interval(shown, value.mean, value.low, value.high, strong=n == 0)
        for n, (name, shown) in enumerate(names.items())
        for value in (last.values[name][METRIC],)
    ]
    rows = [
        (
            result.ds,
            result.model_id,
            result.users,
            [f"{result.values[name][METRIC].mean:.4f}" for name in names],
            with_interval(result.gains[repeats][METRIC], "+.4f"),
        )
        for result in reversed(judged)
    ]
    newest = plots.intervals(f"{label} of the night {last.ds}", bars)
    return HindsightSection(plot if len(judged) > 1 else Markup(""), newest, rows, list(names.values()))


def _published_before(night: NightTables) -> dict[date, str]:
    """Content hashes of the published nights whose window ended with this night or before, oldest first."""
    hashes = {}
    for ds in sorted({row[C.DS] for row in night.publications}):
        row = newest_published(row for row in night.publications if row[C.DS] == ds)
        # lists of a model that knew the window's events say nothing
        if row and window(ds).ds <= night.ds and not has_later_model(row):
            hashes[ds] = row[C.CONTENT_HASH]
    return hashes
