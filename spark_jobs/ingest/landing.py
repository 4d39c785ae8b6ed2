"""What has landed: the log files of each day and the catalogue, checked before they are used. Needs no Spark.

Log files lie below `landing/events/ds=YYYY-MM-DD/`, the catalogue is all files of the newest folder
`landing/items/ds=YYYY-MM-DD/` that is not after the night, or else those in `landing/items/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import Settings
from spark_jobs.ingest.inspections import inspect_all
from spark_jobs.ingest.log_files import FORMATS, LogFile, format_of

EVENT_COLUMNS = (C.EVENT_TIME, C.EVENT_TYPE, C.USER_ID, C.ITEM_ID, C.QUANTITY, C.PRICE, C.SESSION_ID)
"""Columns that every log file has."""

TEXT_COLUMNS = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE)
"""The catalogue has at least one of them: they are what the model reads."""

CATALOGUE_COLUMNS = (C.ITEM_ID, *TEXT_COLUMNS, C.BRAND, C.SIZE, C.PRICE, C.AVAILABLE)
"""Columns that the catalogue may have; only the item's id must be there."""


@dataclass(frozen=True)
class Landing:
    """What has landed for a run."""

    events: dict[date, list[LogFile]]
    catalogue: list[LogFile]

    @property
    def event_files(self) -> list[LogFile]:
        """The log files of all days."""
        return [file for files in self.events.values() for file in files]


def land(settings: Settings, interval: Interval, *, allow_empty: bool = False) -> Landing:
    """Finds and checks everything that the run will read.

    A file is read to its end once; as long as its size and time stay the same, what that showed is remembered.

    Raises:
        InputError: names the day, folder, file or column that is missing or unreadable, and what to do.
    """
    by_day = {day: event_files(settings, day) for day in interval.days}
    catalogue = catalogue_files(settings, interval.ds)
    paths = [path for paths in by_day.values() for path in paths]
    seen = inspect_all(settings, [*paths, *catalogue], allow_empty=allow_empty)
    events = {day: [seen[path] for path in paths] for day, paths in by_day.items()}
    for day, files in events.items():
        for file in files:
            require_columns(file, EVENT_COLUMNS)
        if not allow_empty and not sum(file.records for file in files):
            raise InputError(
                f"The log of {day} is empty: no records in {', '.join(str(file.path) for file in files)}. If the "
                "shop was closed that day, run again with allow_empty; else deliver the log again."
            )
    landing = Landing(events, [seen[path] for path in catalogue])
    require_catalogue(landing.catalogue)
    return landing


def days_landed(settings: Settings, days: Sequence[date]) -> list[date]:
    """Those of ``days`` whose folder holds log files."""
    folders = {day: settings.landing / "events" / f"ds={day}" for day in days}
    return [day for day, folder in folders.items() if folder.is_dir() and supported(folder)]


def event_files(settings: Settings, day: date) -> list[Path]:
    """The log files of one day, by name."""
    folder = settings.landing / "events" / f"ds={day}"
    if not folder.is_dir():
        raise InputError(
            f"No log has arrived for {day}: the folder {folder} does not exist. Deliver that day's log files "
            "there, or run for days that have arrived."
        )
    files = supported(folder)
    if not files:
        raise InputError(
            f"No log has arrived for {day}: the folder {folder} holds no log file. Expected "
            f"{', '.join(FORMATS)} (text also with .gz); a day without records needs an empty file."
        )
    return files


def catalogue_files(settings: Settings, night: date) -> list[Path]:
    """The files of the newest catalogue that is not after the night."""
    folder = settings.landing / "items"
    dated = sorted(sub for sub in folder.glob("ds=*") if sub.is_dir() and sub.name <= f"ds={night}" and supported(sub))
    files = supported(dated[-1]) if dated else supported(folder, deep=False)
    if not files:
        raise InputError(
            f"No catalogue for the night {night}: {folder} holds no file, and no folder ds=YYYY-MM-DD up to that "
            "night. Deliver the catalogue there."
        )
    return files


def supported(folder: Path, *, deep: bool = True) -> list[Path]:
    """Files below a folder that can be read, by name.

    Raises:
        InputError: a file of a format that cannot be read: passing over it would lose its events silently.
    """
    files = []
    for path in sorted(folder.rglob("*") if deep else folder.glob("*")):
        if not path.is_file() or any(p.startswith((".", "_")) for p in path.relative_to(folder).parts):
            continue
        if format_of(path) is None:
            raise InputError(
                f"{path} is of no known format: expected {', '.join(FORMATS)}, text also with .gz. Convert the "
                "file, or give it a name that starts with _ to have it passed over."
            )
        files.append(path)
    return files


def require_columns(file: LogFile, columns: Sequence[str]) -> None:
    """Raises an InputError if a file with records, or a header, misses one of ``columns``."""
    missing = [name for name in columns if name not in file.columns]
    if missing and (file.columns or file.records):
        raise InputError(
            f"{file.path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(file.columns)}. Correct what writes the log (null where there is no value), then deliver "
            "the file again."
        )


def require_catalogue(files: Sequence[LogFile]) -> None:
    """Raises an InputError if the catalogue has no records, no item ids or nothing that describes an item."""
    if not sum(file.records for file in files):
        raise InputError(f"The catalogue is empty: no records in {', '.join(str(f.path) for f in files)}.")
    for file in files:
        require_columns(file, [C.ITEM_ID])
        if file.records and not set(TEXT_COLUMNS) & set(file.columns):
            raise InputError(
                f"{file.path}: none of the columns {', '.join(TEXT_COLUMNS)}, of which the model needs at least "
                f"one; found {', '.join(file.columns)}."
            )
