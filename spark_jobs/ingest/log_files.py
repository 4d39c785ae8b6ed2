"""One log or catalogue file: its format, and what reading it to its end shows. Needs no Spark."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from contracts.errors import InputError

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


@dataclass(frozen=True)
class LogFile:
    """One readable file, and what reading it once has shown."""

    path: Path
    format: Format
    records: int
    columns: tuple[str, ...]  # in file order; () where there are no records to tell
    header: str | None = None  # first line of a CSV file, as it stands there
    types: tuple[str, ...] = ()  # of a Parquet file's columns


def format_of(path: Path) -> Format | None:
    """The format that a file's name tells, if it is a known one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        inner = FORMATS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if inner == "parquet" else inner
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
