"""One log or catalogue file: its format, and what reading it to its end shows. Needs no Spark."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from contracts.errors import InputError
from contracts.mapping import Format, Source
from contracts.places import GLOB, S3
from spark_jobs.ingest.text_files import (
    PACKED,
    array_records,
    as_text,
    byte_lines,
    is_array,
    is_blank,
    joined,
    open_for_arrow,
    open_text,
    text_lines,
)

FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
OTHER_PACKINGS = (".bz2", ".deflate", ".lz4", ".snappy", ".xz", ".zip")
"""Endings of files that are packed in a way that is not read; Spark would unpack some of them all the same."""

PROBED_LINES = 1000
"""JSON lines have no header: the columns of a file are those of its first lines."""
MAX_COLUMNS = 10_000
"""Of a CSV file: a header with more is a file without line ends."""


@dataclass(frozen=True)
class LogFile:
    """One readable file, and what reading it once has shown."""

    path: Path
    format: Format
    records: int  # those that only repeat the header among them
    columns: tuple[str, ...]  # in file order, of nested JSON also a.b.c; () where there are no records to tell
    header: str | None = None  # first line of a CSV file, as it stands there
    types: tuple[str, ...] = ()  # of a Parquet file's columns
    is_array: bool = False  # JSON, but one array of records rather than lines
    repeated: int = 0  # lines of a CSV file that are its header once more


def format_of(path: Path, source: Source) -> Format | None:
    """The format that a file's name tells, or else the mapping, if it is a known one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    inner = suffixes[:-1] if packed else suffixes
    if inner and inner[-1] in OTHER_PACKINGS:
        return None
    told = (FORMATS.get(inner[-1]) if inner else None) or source.format
    return None if packed and told == "parquet" else told


def as_glob(path: Path) -> str:
    """A path as Spark's readers take it, which take it for a glob."""
    return GLOB.sub(r"\\\g<0>", str(path))


def is_misread_by_hadoop(path: Path) -> bool:
    """Whether what stands before a colon is taken for a URL's scheme: in a file's own name, or anywhere in a glob."""
    return ":" in (str(path).removeprefix(f"{S3}:") if GLOB.search(str(path)) else path.name)


def inspect(path: Path, source: Source, *, allow_empty: bool = False) -> LogFile:
    """Reads a file once, to the end: it is complete, and these are its columns and its number of records.

    Raises:
        InputError: it cannot be read to its end, or not as the mapping says.
    """
    form = cast("Format", format_of(path, source))
    try:
        # even an empty packed or Parquet file has some bytes
        if path.stat().st_size == 0 and not (allow_empty and form == "json" and path.suffix.lower() not in PACKED):
            raise InputError(f"{path} has zero bytes: its delivery did not finish. Deliver the file again.")
        return inspect_parquet(path) if form == "parquet" else inspect_text(path, form, source)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read to its end ({error}): it is truncated or damaged. Deliver the file again."
        ) from error


def inspect_text(path: Path, form: Format, source: Source) -> LogFile:
    """`inspect` for JSON and CSV."""
    if form == "json" and is_array(path, source):
        return _inspect_array(path, source)
    with open_text(path) as file:
        lines = byte_lines(file, path, source)
        if form == "csv" and source.multiline:
            encoding = source.read_encoding
            records = joined((line.decode(encoding, "replace") for line in lines), source)
            lines = (record.encode(encoding, "replace") for record in records)
        lines = (line for line in lines if not is_blank(line, source))
        return _inspect_csv(path, lines, source) if form == "csv" else _inspect_json(path, lines, source)


def _inspect_csv(path: Path, lines: Iterator[bytes], source: Source) -> LogFile:
    first = as_text(next(lines, b""), source)
    columns = tuple(name.strip() for name in _first_values(path, first, source))
    if not source.columns:
        if not columns:
            raise InputError(f"{path} has no header line. Deliver the file again, with the column names.")
        records = repeated = 0
        length = len(first.encode(source.read_encoding, "replace"))
        for line in lines:
            records += 1
            # most lines are no header by their length alone
            if length <= len(line) and as_text(line, source) == first:
                repeated += 1
        return LogFile(path, "csv", records, columns, first, repeated=repeated)
    if columns and len(columns) != len(source.columns):
        raise InputError(
            f"{path}: the mapping names {len(source.columns)} columns, and the first line has {len(columns)} values: "
            f"{first[:200]}. Correct columns or delimiter ({source.delimiter!r}) in mapping.toml."
        )
    return LogFile(path, "csv", (1 if columns else 0) + sum(1 for _ in lines), source.columns)


def _first_values(path: Path, first: str, source: Source) -> list[str]:
    """The values of the first line of a CSV file.

    Raises:
        InputError: it is no line that can be read.
    """
    if "\r" in first and not source.multiline:
        raise InputError(
            f"{path}: a carriage return stands within the first line ({first[:200]!r}): lines have to end in a line "
            "feed, with or without a carriage return before it. Deliver the file again with such lines."
        )
    rows = csv_rows(
        [first],
        source.delimiter,
        quotechar=source.quote or None,
        quoting=csv.QUOTE_MINIMAL if source.quote else csv.QUOTE_NONE,
        escapechar=source.escape if source.escape not in ("", source.quote) else None,
    )
    try:
        values = [value for row in rows for value in row]
    except csv.Error as error:
        raise InputError(
            f"{path}: the first line is no CSV that can be read ({error}): {first[:200]!r}. Deliver the file again, or "
            "correct delimiter, quote and escape in mapping.toml."
        ) from error
    if len(values) > MAX_COLUMNS:
        raise InputError(
            f"{path}: the first line has {len(values):,} values, more than {MAX_COLUMNS:,}. Deliver the file again "
            f"with line ends, or correct delimiter ({source.delimiter!r}) in mapping.toml."
        )
    return values


def text_records(path: Path, source: Source) -> Iterator[str]:
    """The records of a text file, each with its end: its lines, or, of CSV whose values go on over lines, several; the
    elements of a JSON array."""
    form = format_of(path, source)
    if form == "json" and is_array(path, source):
        return array_records(path, source)
    lines = text_lines(path, source)
    return joined(lines, source) if form == "csv" and source.multiline else lines


def csv_rows(lines: Iterable[str], delimiter: str, **dialect: Any) -> Iterator[list[str]]:
    """The values of CSV lines; the delimiter may be more than one character, as in `1::31::2.5`."""
    if len(delimiter) > 1:
        # Python's reader splits at one character only: at one that separates by its very name
        return csv.reader((line.replace(delimiter, "\x1f") for line in lines), delimiter="\x1f", **dialect)
    return csv.reader(lines, delimiter=delimiter, **dialect)


def _inspect_json(path: Path, lines: Iterator[bytes], source: Source) -> LogFile:
    head = [as_text(line, source) for line in islice(lines, PROBED_LINES)]
    names: dict[str, None] = {}
    for line in head:
        names |= dict.fromkeys(keys_of(line))
    if head and not names:
        raise InputError(
            f"{path} holds no JSON object in its first {len(head)} lines: expected one object a line. "
            "Deliver the file again."
        )
    return LogFile(path, "json", len(head) + sum(1 for _ in lines), tuple(names))


def _inspect_array(path: Path, source: Source) -> LogFile:
    records = array_records(path, source)
    try:
        head = list(islice(records, PROBED_LINES))
        names = dict.fromkeys(name for record in head for name in keys_of(record))
        return LogFile(path, "json", len(head) + sum(1 for _ in records), tuple(names), is_array=True)
    except ValueError as error:
        raise InputError(
            f"{path} is no JSON array that can be read to its end ({error}): it is truncated or "
            "damaged, or encoding in mapping.toml is not its own. Deliver the file again."
        ) from error


def keys_of(line: str) -> list[str]:
    """Names in one JSON line, and the paths a.b.c of nested ones; none if it is not an object, or too deep a one."""
    try:
        record = json.loads(line)
        return list(_keys(record)) if isinstance(record, dict) else []
    except (ValueError, RecursionError):
        return []


def _keys(record: dict[str, Any]) -> Iterator[str]:
    """Names in an object, and then the paths of all that it holds."""
    yield from record
    yield from chain.from_iterable(_below(name, value) for name, value in record.items())


def _below(name: str, value: Any) -> Iterator[str]:
    """Paths of all that an object holds."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{name}.{key}"
            yield from _below(f"{name}.{key}", inner)


def inspect_parquet(path: Path) -> LogFile:
    """`inspect` for Parquet, read to its end: a good footer says nothing of the pages before it."""
    import pyarrow.lib
    from pyarrow import parquet

    try:
        with open_for_arrow(path) as opened, parquet.ParquetFile(opened) as file:
            schema = file.schema_arrow
            records = file.metadata.num_rows
            for _ in file.iter_batches():
                pass
    # Arrow has OSError for a page that does not unpack
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read to its end as Parquet ({error}): it is truncated or damaged. Deliver the file "
            "again."
        ) from error
    if is_misread_by_hadoop(path):
        raise InputError(
            f"{path}: Spark reads no Parquet file of that name, for its colon. Deliver it under another name."
        )
    if alike := _alike_names(schema):
        raise InputError(
            f"{path}: the columns {' and '.join(alike)} have the same name but for upper and lower case, which Spark "
            "cannot tell apart in Parquet. Deliver the file again with one of them under another name."
        )
    return LogFile(path, "parquet", records, tuple(schema.names), types=tuple(str(kind) for kind in schema.types))


def _alike_names(fields: Iterable[Any], above: str = "") -> list[str]:
    """The first names of Arrow fields, or of what is below one of them, that differ by case at most; else none."""
    seen: dict[str, str] = {}
    for field in fields:
        name = f"{above}{field.name}"
        if (first := seen.setdefault(name.lower(), name)) is not name:
            return [first, name]
        kind = field.type
        inner = [kind.field(n) for n in range(kind.num_fields)]
        if alike := _alike_names(inner, f"{name}."):
            return alike
    return []
