"""One log or catalogue file: its format, and what reading it to its end shows. Needs no Spark."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import ijson

from contracts.errors import InputError
from contracts.mapping import Format, Source

FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
GZIP, ZSTD = (".gz",), (".zst", ".zstd")
PACKED = (*GZIP, *ZSTD)
"""Endings of packed text files."""

CHUNK_BYTES = 1 << 16
MAX_LINES = 1000
"""Lines that one record of CSV may have."""
PROBED_LINES = 1000
"""JSON lines have no header: the columns of a file are those of its first lines."""


@dataclass(frozen=True)
class LogFile:
    """One readable file, and what reading it once has shown."""

    path: Path
    format: Format
    records: int
    columns: tuple[str, ...]  # in file order, of nested JSON also a.b.c; () where there are no records to tell
    header: str | None = None  # first line of a CSV file, as it stands there
    types: tuple[str, ...] = ()  # of a Parquet file's columns
    is_array: bool = False  # JSON, but one array of records rather than lines


def format_of(path: Path, source: Source) -> Format | None:
    """The format that a file's name tells, or else the mapping, if it is a known one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    inner = suffixes[:-1] if packed else suffixes
    told = (FORMATS.get(inner[-1]) if inner else None) or source.format
    return None if packed and told == "parquet" else told


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
        lines = _lines(file, path, source)
        if form == "csv" and source.multiline:
            encoding = source.encoding if source.keeps_line_feeds else "utf-8"
            records = joined((line.decode(encoding, "replace") for line in lines), source)
            lines = (record.encode(encoding, "replace") for record in records)
        lines = (line for line in lines if not line.isspace())
        return _inspect_csv(path, lines, source) if form == "csv" else _inspect_json(path, lines, source)


def _inspect_csv(path: Path, lines: Iterator[bytes], source: Source) -> LogFile:
    first = _decoded(next(lines, b""), source).rstrip("\r\n")
    values = csv_rows(
        [first],
        source.delimiter,
        quotechar=source.quote or None,
        quoting=csv.QUOTE_MINIMAL if source.quote else csv.QUOTE_NONE,
        escapechar=source.escape if source.escape not in ("", source.quote) else None,
    )
    columns = tuple(name.strip() for row in values for name in row)
    if not source.columns:
        if not columns:
            raise InputError(f"{path} has no header line. Deliver the file again, with the column names.")
        return LogFile(path, "csv", sum(1 for _ in lines), columns, first)
    if columns and len(columns) != len(source.columns):
        raise InputError(
            f"{path}: the mapping names {len(source.columns)} columns, and the first line has {len(columns)} values: "
            f"{first[:200]}. Correct columns or delimiter ({source.delimiter!r}) in mapping.toml."
        )
    return LogFile(path, "csv", (1 if columns else 0) + sum(1 for _ in lines), source.columns)


def csv_rows(lines: Iterable[str], delimiter: str, **dialect: Any) -> Iterator[list[str]]:
    """The values of CSV lines; the delimiter may be more than one character, as in `1::31::2.5`."""
    if len(delimiter) > 1:
        # Python's reader splits at one character only: at one that separates by its very name
        return csv.reader((line.replace(delimiter, "\x1f") for line in lines), delimiter="\x1f", **dialect)
    return csv.reader(lines, delimiter=delimiter, **dialect)


def _inspect_json(path: Path, lines: Iterator[bytes], source: Source) -> LogFile:
    head = [_decoded(line, source) for line in islice(lines, PROBED_LINES)]
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
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no JSON array that can be read to its end ({error}): it is truncated or damaged, or encoding "
            "in mapping.toml is not its own. Deliver the file again."
        ) from error


def is_array(path: Path, source: Source) -> bool:
    """Whether a JSON file holds one array rather than a record a line."""
    with open_text(path) as file:
        return _decoded(file.read(CHUNK_BYTES), source).lstrip().startswith("[")


def array_records(path: Path, source: Source) -> Iterator[str]:
    """The elements of a file that is one JSON array, as lines of JSON, one after the other: the file may be large.

    Raises:
        ijson.JSONError: the array is damaged.
        UnicodeDecodeError: it is not the UTF-8 that it should be.
    """
    chunks = (text.encode() for text in _text_chunks(path, source))
    for record in ijson.items(ijson.from_iter(chunks), "item", use_float=True):
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _text_chunks(path: Path, source: Source) -> Iterator[str]:
    """A text file piece by piece, without the mark that some programs write before UTF-8."""
    encoding, errors = ("utf-8-sig", "strict") if source.is_utf8 else (source.encoding, "replace")
    with open_text(path) as file:
        yield from codecs.iterdecode(iter(lambda: file.read(CHUNK_BYTES), b""), encoding, errors)


def open_text(path: Path) -> BinaryIO:
    """A file as bytes, unpacked."""
    suffix = path.suffix.lower()
    if suffix in GZIP:
        return cast("BinaryIO", gzip.open(path, "rb"))
    if suffix in ZSTD:
        import pyarrow

        # Arrow unpacks it, and Arrow is there anyway; it says so when the file ends too early
        return cast("BinaryIO", io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd")))
    return path.open("rb")


def text_records(path: Path, source: Source) -> Iterator[str]:
    """The records of a text file, each with its end: its lines, or, of CSV whose values go on over lines, several; the
    elements of a JSON array."""
    form = format_of(path, source)
    if form == "json" and is_array(path, source):
        return array_records(path, source)
    lines = text_lines(path, source)
    return joined(lines, source) if form == "csv" and source.multiline else lines


def text_lines(path: Path, source: Source) -> Iterator[str]:
    """The lines of a text file, each with its end."""
    with open_text(path) as file:
        if source.keeps_line_feeds:
            yield from (line.decode(source.encoding, "replace") for line in file)
        else:
            yield from io.TextIOWrapper(file, source.encoding, "replace", newline="\n")


def joined(lines: Iterable[str], source: Source) -> Iterator[str]:
    """Records of CSV whose quoted values go on over several lines, each with its line ends.

    A record that is still open after `MAX_LINES` has a quote too many: its first line is a record of its own.
    """
    waiting = iter(lines)
    again: deque[str] = deque()

    def is_open(line: str) -> bool:
        if source.escape and source.escape != source.quote:
            line = line.replace(source.escape + source.quote, "")
        return line.count(source.quote) % 2 == 1

    while (line := again.popleft() if again else next(waiting, None)) is not None:
        record = [line]
        opened = is_open(line)
        while opened and len(record) < MAX_LINES:
            line = again.popleft() if again else next(waiting, None)
            if line is None:
                break
            record.append(line)
            opened ^= is_open(line)
        if opened:
            again.extendleft(reversed(record[1:]))
            del record[1:]
        yield "".join(record)


def _lines(file: BinaryIO, path: Path, source: Source) -> Iterator[bytes]:
    """The lines of an opened file: as they are, or as UTF-8 where a line of its encoding does not end in the byte 10.

    Raises:
        InputError: a line is not the UTF-8 that it should be.
    """
    if not source.keeps_line_feeds:
        yield from (line.encode() for line in io.TextIOWrapper(file, source.encoding, "replace", newline="\n"))
    elif not source.is_utf8:
        yield from file
    else:
        for number, line in enumerate(file, 1):
            if not line.isascii():
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}: line {number} is not UTF-8 (byte {line[error.start]:#04x}). Say in mapping.toml how "
                        f'the file is encoded: encoding = "{_likely_encoding(line, number)}" in [logs] or [catalogue] '
                        "is likely."
                    ) from error
            yield line


def _likely_encoding(line: bytes, number: int) -> str:
    """An encoding that fits a line which is not UTF-8."""
    if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        line.decode("windows-1252")
    except UnicodeDecodeError:
        return "iso-8859-1"
    return "windows-1252"


def _decoded(line: bytes, source: Source) -> str:
    """A line as text, without the mark that some programs write before UTF-8."""
    encoding = "utf-8-sig" if source.is_utf8 or not source.keeps_line_feeds else source.encoding
    return line.decode(encoding, "replace")


def keys_of(line: str) -> Iterator[str]:
    """Names in one JSON line, and the paths a.b.c of nested ones; none if it is not an object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(record, dict):
        yield from record
        yield from chain.from_iterable(_below(name, value) for name, value in record.items())


def _below(name: str, value: Any) -> Iterator[str]:
    """Paths of all that an object holds."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{name}.{key}"
            yield from _below(f"{name}.{key}", inner)


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
