"""Hindsight as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from contracts.settings import Baselines
from models.metrics import Estimate
from spark_jobs.reporting.hindsight import FROM_EVENTS, METRICS, Hindsight, recommenders, window


def text(result: Hindsight, rules: Baselines, missing: Sequence[date] = ()) -> str:
    """The comparison as a table; ``missing`` are days of the window whose logs have not arrived."""
    days, names = window(result.ds), recommenders(rules)
    width = max(map(len, names.values()))
    source = "table events"
    if result.source != FROM_EVENTS:
        without = f", none for {', '.join(map(str, missing))}" if missing else ""
        source = f"log files of {days.start} to {days.ds}{without}"
    lines = [
        f"Hindsight of the night {result.ds} (model {result.model_id}): target events from {days.start} to {days.ds}",
        f"{result.users:,} of {result.users_with_list:,} users with a list had any; source: {source}",
        "",
        f"{'':{width}}" + "".join(f"  {label:>12}" for label in METRICS.values()),
    ]
    for name, values in result.values.items():
        lines.append(f"{names[name]:{width}}" + "".join(f"  {values[metric].mean:>12.4f}" for metric in METRICS))
    lines += ["", "recommendations minus baseline, same users, with 95% interval"]
    for name, gains in result.gains.items():
        lines += [
            f"{names[name]:{width}}  {label:>11}  {with_interval(gains[metric], '+.4f')}"
            for metric, label in METRICS.items()
        ]
    return "\n".join(lines)


def with_interval(value: Estimate, form: str = ".4f") -> str:
    """A value with its interval, for example ``0.2712 [0.2577, 0.2847]``."""
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"
