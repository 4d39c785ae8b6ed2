"""Lists the log files of a run and the catalogue, and refuses what is missing or unreadable. Needs no Spark.

    python -m spark_jobs.land_events --start 2017-12-23 --end 2017-12-24

Log files lie below `landing/events/ds=YYYY-MM-DD/`, under any name, as JSON lines (.jsonl, .ndjson, .json),
CSV with a header (.csv), each also gzipped (.gz), or Parquet. Names that start with `.` or `_` are passed over.
The catalogue is all files of the newest folder `landing/items/ds=YYYY-MM-DD/` that is not after the night, or
else those in `landing/items/`.

`--allow-empty` lets a day pass whose files hold no records, such as a day on which the shop was closed.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, cast

from spark_jobs.contracts.cli import entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.settings import Settings

EVENT_COLUMNS = (C.EVENT_TIME, C.EVENT_TYPE, C.USER_ID, C.ITEM_ID, C.QUANTITY, C.PRICE, C.SESSION_ID)
"""Columns that every log file has."""

TEXT_COLUMNS = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE)
"""The catalogue has at least one of them: they are what the model reads."""

CATALOGUE_COLUMNS = (C.ITEM_ID, *TEXT_COLUMNS, C.BRAND, C.SIZE, C.PRICE, C.AVAILABLE)
"""Columns that the catalogue may have; only the item's id must be there."""

Format = Literal["json", "csv", "parquet"]
FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
PROBED_LINES = 1000
"""JSON lines have no header: the columns of a file are those of its first lines."""
READERS = 8


@dataclass(frozen=True)
class LogFile:
    """One readable file, and what reading it once has shown."""

    path: Path
    format: Format
    records: int
    columns: tuple[str, ...]  # in file order; () where there are no records to tell
    header: str | None = None  # first line of a CSV file, as it stands there
    types: tuple[str, ...] = ()  # of a Parquet file's columns


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

    Raises:
        InputError: names the day, folder, file or column that is missing or unreadable, and what to do.
    """
    found = {day: event_files(settings, day) for day in interval.days}
    with ThreadPoolExecutor(READERS) as pool:
        inspected = pool.map(
            partial(inspect, allow_empty=allow_empty), [path for paths in found.values() for path in paths]
        )
        events = {day: [next(inspected) for _ in paths] for day, paths in found.items()}
        catalogue = list(pool.map(inspect, catalogue_files(settings, interval.ds)))
    for day, files in events.items():
        for file in files:
            require_columns(file, EVENT_COLUMNS)
        if not allow_empty and not sum(file.records for file in files):
            raise InputError(
                f"The log of {day} is empty: no records in {', '.join(str(file.path) for file in files)}. If the "
                "shop was closed that day, run again with allow_empty; else deliver the log again."
            )
    require_catalogue(catalogue)
    return Landing(events, catalogue)


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


def format_of(path: Path) -> Format | None:
    """The format that a file's name tells, if it is a known one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        found = FORMATS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if found == "parquet" else found
    return FORMATS.get(suffixes[-1]) if suffixes else None


def inspect(path: Path, *, allow_empty: bool = False) -> LogFile:
    """Reads a file once, to the end: it is complete, and these are its columns and its number of records.

    Raises:
        InputError: it cannot be read to its end.
    """
    form = cast("Format", format_of(path))
    try:
        # even an empty gzip or Parquet file has some bytes
        if path.stat().st_size == 0 and not (allow_empty and form == "json" and path.suffix != ".gz"):
            raise InputError(f"{path} has zero bytes: its delivery did not finish. Deliver the file again.")
        return inspect_parquet(path) if form == "parquet" else inspect_text(path, form)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read to its end ({error}): it is truncated or damaged. Deliver the file again."
        ) from error


def inspect_text(path: Path, form: Format) -> LogFile:
    """`inspect` for JSON lines and CSV."""
    with open_text(path) as file:
        lines = (line for line in file if not line.isspace())
        if form == "csv":
            header = next(lines, b"").decode("utf-8-sig", "replace").rstrip("\r\n")
            columns = tuple(name.strip() for row in csv.reader([header]) for name in row)
            if not columns:
                raise InputError(f"{path} has no header line. Deliver the file again, with the column names.")
            return LogFile(path, form, sum(1 for _ in lines), columns, header)
        head = [line for _, line in zip(range(PROBED_LINES), lines, strict=False)]
        names: dict[str, None] = {}
        for line in head:
            names |= dict.fromkeys(keys_of(line))
        if head and not names:
            raise InputError(
                f"{path} holds no JSON object in its first {len(head)} lines: expected one object a line. "
                "Deliver the file again."
            )
        return LogFile(path, form, len(head) + sum(1 for _ in lines), tuple(names))


def open_text(path: Path) -> BinaryIO:
    """A file as bytes, unpacked."""
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def keys_of(line: bytes) -> Iterator[str]:
    """Names in one JSON line; none if it is not an object."""
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except ValueError:
        return
    if isinstance(record, dict):
        yield from record


def inspect_parquet(path: Path) -> LogFile:
    """`inspect` for Parquet: its footer stands at the end, so a readable footer is a complete file."""
    import pyarrow.lib
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            return LogFile(
                path,
                "parquet",
                file.metadata.num_rows,
                tuple(schema.names),
                types=tuple(str(kind) for kind in schema.types),
            )
    except pyarrow.lib.ArrowException as error:
        raise InputError(
            f"{path} has no readable Parquet footer ({error}): it is truncated or damaged. Deliver the file again."
        ) from error


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


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = parser(__doc__)
    arguments.add_argument("--allow-empty", action="store_true", help="let days without records pass")
    parsed = arguments.parse_args(argv)
    landing = land(settings, run_of(parsed).interval, allow_empty=parsed.allow_empty)
    for day, files in landing.events.items():
        for file in files:
            print(f"{day}  {file.records:>9,}  {file.path}")
    for file in landing.catalogue:
        print(f"catalogue   {file.records:>9,}  {file.path}")
    log.info("%d log files, %d records.", len(landing.event_files), sum(f.records for f in landing.event_files))


if __name__ == "__main__":
    entry(main)
