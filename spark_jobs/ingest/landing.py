"""What has landed: the log files of each day and the catalogue, checked before they are used. Needs no Spark.

Where they lie, and how they are read, `mapping.toml` says (`contracts/mapping.py`). Without it log files lie below
`landing/events/ds=YYYY-MM-DD/`, and the catalogue is all files of the newest folder `landing/items/ds=YYYY-MM-DD/` that
is not after the night, or else those in `landing/items/`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from contracts import places
from contracts.cli import log
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.mapping import FILE, Mapping, Source, load_mapping
from contracts.settings import Settings
from spark_jobs.ingest.expressions import (
    TEXT_COLUMNS,
    event_fields,
    inline_fields,
    item_fields,
    require_columns,
)
from spark_jobs.ingest.inspections import Found, inspect_all
from spark_jobs.ingest.log_files import FORMATS, LogFile, format_of

SHOWN_GAPS, NEAREST_DAYS = 5, 3
"""So many gaps are named in the log, and so many days that exist on either side of one that does not."""


@dataclass(frozen=True)
class Landing:
    """What has landed for a run."""

    mapping: Mapping
    events: dict[date, list[LogFile]]  # of the run's days, by what their paths tell
    export: list[LogFile]  # instead: files of many days, whose records tell their own
    catalogue: list[LogFile]  # none if the catalogue is inline
    raw: dict[date, int]  # records of each of the run's days; of an export not before Spark has counted them
    first_day: date | None = None  # of an export that has been counted
    catalogue_day: date | None = None  # that the path of the catalogue tells

    @property
    def event_files(self) -> list[LogFile]:
        """The log files of all days."""
        return self.export or [file for files in self.events.values() for file in files]


def land(settings: Settings, interval: Interval, *, allow_empty: bool = False) -> Landing:
    """Finds and checks everything that the run will read.

    A file is read to its end once; as long as its size and time stay the same, what that showed is remembered.

    Raises:
        InputError: names the day, folder, file or column that is missing or unreadable, and what to do.
        SettingsError: the mapping is wrong.
    """
    mapping = load_mapping(settings)
    by_day, export = log_paths(mapping.logs)
    found = {
        day: [
            Found(path, mapping.logs, allow_empty=allow_empty or settings.shop.is_closed(day))
            for path in supported(by_day.get(day, []), mapping.logs)
        ]
        for day in interval.days
    }
    whole = [Found(path, mapping.logs, allow_empty=allow_empty) for path in supported(export, mapping.logs)]
    day, catalogue = (None, []) if mapping.catalogue.inline else catalogue_files(mapping.catalogue, interval.ds)
    described = [Found(path, mapping.catalogue) for path in catalogue]
    seen = inspect_all(settings, [*(file for files in found.values() for file in files), *whole, *described])

    events = {} if export else {day: [seen[file] for file in files] for day, files in found.items()}
    raw = {day: sum(file.records for file in files) for day, files in events.items()}
    landing = Landing(
        mapping,
        events,
        [seen[file] for file in whole],
        [seen[file] for file in described],
        raw,
        catalogue_day=day,
    )
    fields = event_fields(mapping)
    if mapping.catalogue.inline:
        fields += inline_fields(mapping)
    require_columns(landing.event_files, fields, mapping)
    if not export:
        check_days(settings, interval, landing, by_day, allow_empty=allow_empty)
    if not mapping.catalogue.inline:
        require_catalogue(landing.catalogue, mapping)
    return landing


def days_landed(settings: Settings, days: Sequence[date]) -> list[date]:
    """Those of ``days`` that have log files; of an export all days, as only its records know."""
    logs = load_mapping(settings).logs
    by_day, export = log_paths(logs)
    return [day for day in days if export or supported(by_day.get(day, []), logs)]


def log_paths(logs: Source) -> tuple[dict[date, list[Path]], list[Path]]:
    """Files of each day of the logs, by name; or, where paths tell no day, all files."""
    paths = listed(logs)
    if logs.days is None:
        if not paths:
            problem = f"holds no file like {logs.files}" if logs.path.exists() else "does not exist"
            raise InputError(
                f"No log has arrived: {logs.path} {problem}. Deliver the log there, or correct [logs] in {FILE}."
            )
        return {}, paths
    days = by_day_of(logs, paths)
    untold = len(paths) - sum(map(len, days.values()))
    if untold:
        told = {path for files in days.values() for path in files}
        first = next(path for path in paths if path not in told)
        what = f"{untold} of {len(paths)} files in {logs.path} tell no day by days = {logs.days!r}, such as {first}"
        if not days:
            raise InputError(
                f"{what}. Correct days in {FILE}, or leave it out if each record's own time tells its day."
            )
        log.warning("%s: they are passed over.", what)
    return days, []


def listed(source: Source) -> list[Path]:
    """Files of a source, by name, without those that are to be passed over: of a name that starts with `.` or `_`.

    Raises:
        InputError: a name is no text, so that no table can hold it.
    """
    if source.path.is_file():
        return [source.path]
    paths = sorted(
        path
        for path in places.files(source.path, source.files)
        if not any(part.startswith((".", "_")) for part in path.relative_to(source.path).parts)
    )
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"The file name {str(path)!a} is not UTF-8. Deliver it under another name.") from error
    return paths


def by_day_of(source: Source, paths: Iterable[Path]) -> dict[date, list[Path]]:
    """Files by the day that their path tells; those that tell none are left out."""
    days: dict[date, list[Path]] = {}
    root = source.root
    for path in paths:
        day = source.day_of(path.relative_to(root).as_posix())
        if day:
            days.setdefault(day, []).append(path)
    return days


def supported(paths: Sequence[Path], source: Source) -> list[Path]:
    """The paths themselves.

    Raises:
        InputError: a file of a format that cannot be read: passing over it would lose its events silently.
    """
    for path in paths:
        if format_of(path, source) is None:
            raise InputError(
                f"{path} is of no known format: expected {', '.join(FORMATS)}, text also with .gz or .zst. Convert the "
                "file, say its format in mapping.toml, or give it a name that starts with _ to have it passed over."
            )
    return list(paths)


def check_days(
    settings: Settings, interval: Interval, landing: Landing, exist: Collection[date], *, allow_empty: bool
) -> None:
    """Checks which of the run's days have no records: a night has some, a history may have gaps but not be one.

    ``exist`` are the days that the logs have. Days on which the shop is closed need no log.

    Raises:
        InputError: names the day, or the days that there are.
    """
    expected = [day for day in interval.days if not settings.shop.is_closed(day)]
    empty = [day for day in expected if not landing.raw[day]]
    if allow_empty or not empty:
        return
    if len(interval.days) == 1:
        raise InputError(_no_log(landing, empty[0], exist))
    if not any(landing.raw.values()):
        raise InputError(
            f"No day from {interval.start} to {interval.ds} has a log record in {landing.mapping.logs.path}. "
            f"{_which(exist)} Run for days that the logs have."
        )
    ranges = as_ranges(empty)
    more = f" and {len(ranges) - SHOWN_GAPS} more" if len(ranges) > SHOWN_GAPS else ""
    log.info("%d days without log records: %s%s.", len(empty), ", ".join(ranges[:SHOWN_GAPS]), more)


def _no_log(landing: Landing, day: date, exist: Collection[date]) -> str:
    """What to do about a night without records."""
    logs, files = landing.mapping.logs, landing.events[day]
    if files and logs.days:
        return (
            f"The log of {day} is empty: no records in {', '.join(str(file.path) for file in files)}. If the "
            "shop was closed that day, run again with allow_empty; else deliver the log again."
        )
    if logs.days:
        place = logs.path / day.strftime(logs.days)
        is_folder = logs.days.endswith("/")
        missing = (
            f"the folder {place} {'holds no log file' if place.is_dir() else 'does not exist'}"
            if is_folder
            else f"no file below {logs.path} has {day.strftime(logs.days)} in its path"
        )
    else:
        missing = f"no record in {logs.path} is of that day in the shop's time zone"
    return (
        f"No log has arrived for {day}: {missing}. {_which(exist, day)} Deliver that day's log, or run for days that "
        "have arrived. If the shop was closed that day, run again with allow_empty, or set shop.closed_weekdays or "
        "shop.closed_dates."
    )


def _which(exist: Collection[date], near: date | None = None) -> str:
    """The days that the logs have, in words; of many those nearest to a day."""
    days = sorted(exist)
    if not days:
        return "The logs have no day at all."
    if near is None:
        return f"The logs have {len(days)} days, from {days[0]} to {days[-1]}."
    before, after = [day for day in days if day < near], [day for day in days if day > near]
    nearest = [*before[-NEAREST_DAYS:], *after[:NEAREST_DAYS]]
    if not nearest:
        return "The logs have no other day."
    return f"The nearest days that the logs have: {', '.join(map(str, nearest))}."


def as_ranges(days: Sequence[date]) -> list[str]:
    """Days in order, consecutive ones as `first … last`."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return [f"{run[0]} … {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]


def catalogue_files(source: Source, night: date) -> tuple[date | None, list[Path]]:
    """The day and the files of the newest catalogue that is not after the night, by what the paths tell; or else all.

    Raises:
        InputError: there is none.
    """
    paths = listed(source)
    dated = by_day_of(source, paths)
    newest = max((day for day in dated if day <= night), default=None)
    if newest:
        return newest, supported(dated[newest], source)
    told = {path for files in dated.values() for path in files}
    # deeper ones may be of a day that the name does not tell rightly
    files = [path for path in paths if path not in told and (source.days is None or path.parent == source.root)]
    if not files:
        dated_too = f", and none of a day up to that night ({source.days})" if source.days else ""
        raise InputError(
            f"No catalogue for the night {night}: {source.path} holds no file{dated_too}. Deliver the catalogue there, "
            f"or say in {FILE} where it is: [catalogue] path, or inline = true if the log itself names the items' "
            "attributes."
        )
    return None, supported(files, source)


def require_catalogue(files: Sequence[LogFile], mapping: Mapping) -> None:
    """Raises an InputError if the catalogue has no records, no item ids or nothing that describes an item."""
    if not sum(file.records for file in files):
        raise InputError(f"The catalogue is empty: no records in {', '.join(str(f.path) for f in files)}.")
    require_columns(files, item_fields(mapping), mapping)
    if mapping.item:
        return
    for file in files:
        if file.records and not set(TEXT_COLUMNS) & set(file.columns):
            raise InputError(
                f"{file.path}: none of the columns {', '.join(TEXT_COLUMNS)}, of which the model needs at least "
                f"one; found {', '.join(file.columns)}. If they are there under other names, say so in [item] of "
                f"{FILE}."
            )
