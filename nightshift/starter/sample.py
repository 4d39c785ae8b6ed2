"""Looks at a file or a folder of logs: format, encoding, CSV dialect, columns with some values, days in the names."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.errors import InputError
from contracts.mapping import Format, Source
from nightshift.starter.guess import ISO, plain
from nightshift.starter.words import EVENT_NAMES, ITEM_NAMES
from spark_jobs.ingest.landing import listed
from spark_jobs.ingest.log_files import FORMATS, csv_rows
from spark_jobs.ingest.text_files import PACKED, array_records, open_text

RECORDS = 20_000
"""Records looked at, of all files together."""
FILES = 5
"""Files looked at: evenly spread, because names often follow the time."""
HEAD_BYTES = 4 << 20
"""Bytes of a file that are read."""

SUFFIXES: dict[str, Format] = FORMATS | {".tsv": "csv", ".txt": "csv"}
"""Formats by suffix: those that ingestion knows by itself, and those that the mapping then has to say."""

PARQUET_MARK = b"PAR1"
DELIMITERS = ("::", ",", ";", "\t", "|", "\x01")
KNOWN = {name for names in (*EVENT_NAMES.values(), *ITEM_NAMES.values()) for name in names.split()}

DAY_PATTERNS = (
    (re.compile(r"ds=\d{4}-\d{2}-\d{2}"), "ds=%Y-%m-%d"),
    (re.compile(r"dt=\d{4}-\d{2}-\d{2}"), "dt=%Y-%m-%d"),
    (re.compile(r"date=\d{4}-\d{2}-\d{2}"), "date=%Y-%m-%d"),
    (re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)"), "%Y-%m-%d"),
    (re.compile(r"(?<!\d)\d{4}_\d{2}_\d{2}(?!\d)"), "%Y_%m_%d"),
    (re.compile(r"(?<!\d)\d{4}/\d{2}/\d{2}(?!\d)"), "%Y/%m/%d"),
    (re.compile(r"(?<!\d)(?:19|20)\d{6}(?!\d)"), "%Y%m%d"),
    (re.compile(r"(?<!\d)\d{2}-\d{2}-\d{4}(?!\d)"), "%d-%m-%Y"),
    (re.compile(r"(?<!\d)\d{2}\.\d{2}\.\d{4}(?!\d)"), "%d.%m.%Y"),
)
"""How a path may tell its day: what it looks like, and the directives that read it."""


@dataclass(frozen=True)
class Sample:
    """What a look at some of the files has shown."""

    path: Path  # what was looked at: a file or a folder
    files: int
    suffix: str  # of the files, with that of the compression
    format: Format
    encoding: str
    delimiter: str
    has_header: bool
    multiline: bool  # CSV with quoted values that go on over several lines
    days: str | None  # directives that find the day in the path below `path`; None if the paths do not tell it
    columns: dict[str, list[str]]  # some values of each column, as text; nested names have dots
    records: int


def look(path: Path) -> Sample:
    """Looks at a file, or at some of the files of a folder.

    Raises:
        InputError: there is none that can be read, or they are of different formats.
    """
    files = files_of(path)
    found = [(file, form) for file in files if (form := format_of(file))]
    # names that tell nothing: .dat, .log, part-00000
    found = found or [(file, form) for file in files if (form := format_within(file))]
    if not found:
        raise InputError(
            f"{path} has no log files: expected JSON lines (.jsonl, .ndjson, .json), CSV (.csv, .tsv, .txt) or Parquet "
            f"(.parquet), plain or packed (.gz, .zst), or other names with one of these inside."
        )
    formats = sorted({form for _, form in found})
    if len(formats) > 1:
        raise InputError(
            f"{path} holds files of several formats ({', '.join(formats)}): give the folder of one kind of file, and "
            "the catalogue with --items."
        )
    files = [file for file, _ in found]
    chosen = spread(files, FILES)
    encoding, delimiter, has_header = "utf-8", ",", True
    records: list[dict[str, str | None]] = []
    share = max(1, RECORDS // len(chosen))
    for file in chosen:
        if formats[0] == "parquet":
            records += parquet_records(file, share)
            continue
        head = head_of(file)
        encoding = encoding_of(head)
        text = head.decode(encoding, "replace").lstrip("\ufeff")
        if formats[0] == "json":
            records += json_records(file, text, encoding, share)
        else:
            dialect = dialect_of(text)
            if dialect is None:
                raise InputError(
                    f"{file} has one column only: expected CSV split by a comma, semicolon, tab, stroke or '::'."
                )
            delimiter, has_header = dialect
            records += csv_records(text, delimiter, share, has_header=has_header)
    if not records:
        raise InputError(f"{chosen[0]} holds no records to look at.")
    multiline = formats[0] == "csv" and any("\n" in (value or "") for record in records for value in record.values())
    columns: dict[str, list[str]] = {}
    for record in records:
        for name, value in record.items():
            values = columns.setdefault(name, [])
            if value:
                values.append(value)
    return Sample(
        path,
        len(files),
        "".join(chosen[0].suffixes[-2:] if chosen[0].suffix.lower() in PACKED else chosen[0].suffixes[-1:]),
        formats[0],
        encoding,
        delimiter,
        has_header,
        multiline,
        days_of(path, files),
        columns,
        len(records),
    )


def files_of(path: Path) -> list[Path]:
    """The file, or all files below the folder, without hidden ones, in order.

    Raises:
        InputError: there is no such file or folder.
    """
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.")
    return listed(Source(path=path))


def format_of(file: Path) -> Format | None:
    """The format that a file's name tells."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def spread(files: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the files, evenly over all."""
    if len(files) <= count:
        return list(files)
    return [files[number * (len(files) - 1) // (count - 1)] for number in range(count)]


def head_of(file: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, unpacked, up to the end of a line."""
    with open_text(file) as source:
        head = source.read(size)
    return head if len(head) < size else head[: head.rfind(b"\n") + 1]


def encoding_of(head: bytes) -> str:
    """UTF-8 where the bytes are, else the encoding of Western Windows, which reads nearly everything."""
    for encoding in ("utf-8", "windows-1252"):
        try:
            head.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "iso-8859-1"


def format_within(file: Path) -> Format | None:
    """The format that a file's first bytes tell; None if they are of no format that can be read."""
    with file.open("rb") as source:
        if source.read(4) == PARQUET_MARK:
            return "parquet"
    head = head_of(file, HEAD_BYTES >> 6)
    if not head.strip() or b"\0" in head:
        return None
    text = head.decode(encoding_of(head), "replace").lstrip("\ufeff").lstrip()
    if text[0] in "{[":
        return "json"
    return "csv" if dialect_of(text) else None


def dialect_of(text: str) -> tuple[str, bool] | None:
    """The delimiter that splits the first lines most evenly, and whether the first of them names the columns; None
    if nothing splits them."""
    lines = text.splitlines()[:50]

    def evenness(delimiter: str) -> tuple[float, int]:
        found = [len(row) for row in csv_rows(lines, delimiter) if row]
        first = found[0] if found else 0
        return (sum(width == first for width in found) / max(1, len(found)) if first > 1 else 0.0, first)

    delimiter = max(DELIMITERS, key=evenness)
    if evenness(delimiter)[1] < 2:
        return None
    header, *rows = csv_rows(lines, delimiter)
    numbers = re.compile(r"^[-+]?\d+([.,:/-]\d+)*$")
    known = {plain(name) for name in header}
    named = not any(numbers.match(name.strip()) for name in header) and len(set(header)) == len(header)
    if named and rows and not known & KNOWN:
        # user_7 and tea name no columns if they come again
        named = not any(name in {row[n] for row in rows if len(row) > n} for n, name in enumerate(header))
        named = named and not any(ISO.match(name.strip()) for name in header)
    return delimiter, named or not rows


def csv_records(text: str, delimiter: str, count: int, *, has_header: bool) -> list[dict[str, str | None]]:
    """The first records of CSV text; columns without names are called c0, c1, …"""
    rows = csv_rows(io.StringIO(text), delimiter)
    first = next(rows, [])
    names = [name.strip() for name in first] if has_header else [f"c{number}" for number in range(len(first))]
    if not has_header:
        rows = csv_rows(io.StringIO(text), delimiter)
    return [dict(zip(names, row, strict=False)) for _, row in zip(range(count), rows, strict=False) if row]


def json_records(file: Path, text: str, encoding: str, count: int) -> list[dict[str, str | None]]:
    """The first records of JSON lines, or of one JSON array; nested ones flat.

    Raises:
        InputError: the file holds no objects.
    """
    is_array = text.lstrip().startswith("[")
    records: list[dict[str, str | None]] = []
    for line in array_lines(file, encoding) if is_array else text.splitlines():
        if len(records) == count:
            break
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            records.append(dict(flat(told)))
    if not records:
        raise InputError(f"{file} holds no JSON object in its first lines: expected one object a line.")
    return records


def array_lines(file: Path, encoding: str) -> Iterator[str]:
    """The elements of a JSON array up to where it is damaged; ingestion says what is wrong there."""
    with suppress(ValueError, InputError):
        yield from array_records(file, Source(path=file, encoding=encoding))


def flat(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, str | None]]:
    """The leaves of a JSON object, with dots in their names; lists are left as text."""
    for name, value in record.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            yield from flat(value, f"{path}.")
        elif value is None or isinstance(value, str):
            yield path, value
        else:
            yield path, json.dumps(value)


def parquet_records(file: Path, count: int) -> list[dict[str, str | None]]:
    """The first records of a Parquet file."""
    import pyarrow.lib
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as source:
            batch = next(source.iter_batches(count), None)
    except pyarrow.lib.ArrowException as error:
        raise InputError(f"{file} has no readable Parquet footer ({error}).") from error
    rows: Iterable[dict[str, Any]] = batch.to_pylist() if batch is not None else ()
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def days_of(path: Path, files: Sequence[Path]) -> str | None:
    """Directives that find a day in the path of every file; None where there are none, or all have the same day."""
    if path.is_file():
        return None
    below = [file.relative_to(path).as_posix() for file in files]
    for looks, directives in DAY_PATTERNS:
        days = {match[0] for name in below if (match := looks.search(name))}
        if all(looks.search(name) for name in below) and (len(days) == len(below) or len(days) > 1):
            return directives
    return None
