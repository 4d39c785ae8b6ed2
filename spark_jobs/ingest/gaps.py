"""What earlier days lack when a night begins: days that no run took in, and files that came after their day was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow.dataset as pads

from contracts import intake, lake
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.mapping import load_mapping
from contracts.places import written
from contracts.settings import Settings
from contracts.tables import INGEST_FILES
from spark_jobs.ingest.landing import as_ranges, log_paths

FILES_NAMED = 3
"""So many late files of a day are named."""


@dataclass(frozen=True)
class Gaps:
    """What the days before a night lack."""

    missed: tuple[date, ...]  # days that no run took in, though their logs are there
    absent: tuple[date, ...]  # days that no run took in, and that have no logs
    late: Mapping[date, tuple[str, ...]]  # files that came, or changed, after their day was taken in
    too_old: tuple[date, ...] = ()  # days that no run took in, longer ago than is looked back

    @property
    def missed_in_words(self) -> str:
        """The missed days, consecutive ones together, and which have no logs."""
        parts = [", ".join(as_ranges(self.missed))] if self.missed else []
        if self.absent:
            parts.append(f"{', '.join(as_ranges(self.absent))} without logs")
        if self.too_old:
            parts.append(f"{', '.join(as_ranges(self.too_old))}, longer ago than [ingest] look_back_days")
        return " and ".join(parts)

    @property
    def late_in_words(self) -> str:
        """The late files of each day: how many, and some of their names."""
        return "; ".join(
            f"{day}: {len(files)} ({', '.join(files[:FILES_NAMED])}{', …' if len(files) > FILES_NAMED else ''})"
            for day, files in sorted(self.late.items())
        )


def gaps(settings: Settings, interval: Interval) -> Gaps:
    """What the days before a run's lack, of those that the settings look back to.

    Days before the first one that was ever taken in are no gap, nor are those without logs on which the shop is closed.
    In an export each record tells its own day: which days are there only a run can tell, and no file of it is late.
    """
    accepted = intake.accepted(settings)
    since = interval.start - timedelta(days=settings.ingest.look_back_days)
    earlier = [day for day in accepted if day < interval.start]
    if not earlier:
        return Gaps((), (), {})
    first = max(since, min(earlier))
    days = [first + timedelta(days=n) for n in range((interval.start - first).days)]
    lacking = [day for day in days if day not in accepted]
    expected = [day for day in lacking if not settings.shop.is_closed(day)]
    # told once: by the night that follows on so long a hole
    hole = [max(earlier) + timedelta(days=n) for n in range(1, (since - max(earlier)).days)]
    too_old = tuple(day for day in hole if not settings.shop.is_closed(day))
    logs = load_mapping(settings).logs
    root = logs.root
    by_day, export = log_paths(logs)
    if export:
        return Gaps(tuple(expected), (), {}, too_old)
    # also files that cannot be read: the night says so when it comes to them
    landed = {day for day in lacking if by_day.get(day)}
    taken_in = [day for day in days if day in accepted]
    there = {
        day: {path.relative_to(root).as_posix(): (path.stat().st_size, written(path)) for path in by_day.get(day, [])}
        for day in taken_in
    }
    return Gaps(
        tuple(day for day in lacking if day in landed),
        tuple(day for day in expected if day not in landed),
        late_files(there, _taken_in_from(settings, taken_in), {day: accepted[day]["files"] for day in taken_in}),
        too_old,
    )


Files = dict[date, dict[str, tuple[int, datetime]]]
"""Size and time of change of files, by day and path below the logs' folder."""


def late_files(there: Files, taken_in_from: Files, counted: Mapping[date, int]) -> dict[date, tuple[str, ...]]:
    """The files of each day that are new, or other ones, since it was taken in from ``counted`` files."""
    found = {}
    for day, files in there.items():
        known = taken_in_from.get(day, {})
        if counted[day] and not known:
            continue  # taken in when nobody wrote down from what
        late = tuple(sorted(name for name, state in files.items() if known.get(name) != state))
        if late:
            found[day] = late
    return found


def _taken_in_from(settings: Settings, days: Sequence[date]) -> Files:
    if not days or not lake.exists(settings, INGEST_FILES):
        return {}
    rows: list[dict[str, Any]] = lake.rows(settings, INGEST_FILES, pads.field(C.DS).isin(list(days)))
    files: Files = {}
    for row in rows:
        files.setdefault(row[C.DS], {})[row[C.SOURCE_FILE]] = (row["bytes"], row["modified"])
    return files
