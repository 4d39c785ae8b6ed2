"""The text of a log or catalogue file, read piece by piece: unpacked, decoded, split into records. Needs no Spark.

How long a line or an element of an array may be is bounded, so that no file fills the memory.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from contracts.errors import InputError
from contracts.mapping import Source
from contracts.places import is_remote

GZIP, ZSTD = (".gz",), (".zst", ".zstd")
PACKED = (*GZIP, *ZSTD)
"""Endings of packed text files."""

CHUNK_BYTES = 1 << 16
MAX_LINES = 1000
"""Lines that one record of CSV may have."""
MAX_RECORD = 1 << 20
"""Bytes of the longest record: one that is longer is quarantined, and only its beginning is kept."""
MAX_LINE = 1 << 26
"""Bytes of the longest line that is read at all: one that is longer is an error before it fills the memory."""
BLANK = " \t\r\n"
"""Characters of a line that is no record; other spaces are dirt."""
SPACES = re.compile(f"[{BLANK}]*")
BOM = "\ufeff"
"""The mark that some programs write before UTF-8; in the middle of a file where files were joined."""


def open_text(path: Path) -> BinaryIO:
    """A file as bytes, unpacked."""
    suffix = path.suffix.lower()
    if suffix in GZIP:
        opened = path.open("rb")
        unpacked = gzip.GzipFile(fileobj=opened)
        unpacked.myfileobj = cast("io.FileIO", opened)  # closes it too
        return cast("BinaryIO", unpacked)
    if suffix in ZSTD:
        import pyarrow

        # Arrow unpacks it, and Arrow is there anyway; it says so when the file ends too early
        raw = path.open("rb") if is_remote(path) else str(path)
        return cast("BinaryIO", io.BufferedReader(pyarrow.input_stream(raw, compression="zstd")))
    return path.open("rb")


def open_for_arrow(path: Path) -> AbstractContextManager[Path | BinaryIO]:
    """A file as Arrow takes it: one of this machine it opens itself."""
    return path.open("rb") if is_remote(path) else nullcontext(path)


def is_array(path: Path, source: Source) -> bool:
    """Whether a JSON file holds one array rather than a record a line."""
    with open_text(path) as file:
        return file.read(CHUNK_BYTES).decode(source.encoding, "replace").lstrip(BOM + BLANK).startswith("[")


def text_lines(path: Path, source: Source) -> Iterator[str]:
    """The lines of a text file, each with its end."""
    with open_text(path) as file:
        yield from (line.decode(source.read_encoding, "replace") for line in byte_lines(file, path, source))


def byte_lines(file: BinaryIO, path: Path, source: Source) -> Iterator[bytes]:
    """The lines of an opened file, in `Source.read_encoding`.

    Raises:
        InputError: a line is too long to be read, or not the UTF-8 that it should be.
    """
    if not source.keeps_line_feeds:
        text = io.TextIOWrapper(file, source.encoding, "replace", newline="\n")
        for number, decoded in enumerate(iter(partial(text.readline, MAX_LINE), ""), 1):
            if len(decoded) == MAX_LINE and not decoded.endswith("\n"):
                raise InputError(_too_long(path, f"line {number}"))
            yield decoded.encode(errors="replace")
        return
    for number, line in enumerate(iter(partial(file.readline, MAX_LINE), b""), 1):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise InputError(_too_long(path, f"line {number}"))
        if source.is_utf8 and not line.isascii():
            _require_utf8(line, path, number)
        yield line if source.is_utf8 or source.java_encoding else line.decode(source.encoding, "replace").encode()


def as_text(line: bytes, source: Source) -> str:
    """A line of `byte_lines` as text, without its end and the marks that some programs write before UTF-8."""
    return line.decode(source.read_encoding, "replace").lstrip(BOM).rstrip("\r\n")


def is_blank(line: bytes, source: Source) -> bool:
    """Whether a line of `byte_lines` is no record; `spark_jobs/ingest/records.py` says the same of text."""
    rest = line.strip(BLANK.encode())
    if rest.startswith(codecs.BOM_UTF8):
        return not rest.decode(source.read_encoding, "replace").strip(BOM + BLANK)
    return not rest


def joined(lines: Iterable[str], source: Source) -> Iterator[str]:
    """Records of CSV whose quoted values go on over several lines, each with its line ends.

    A record that is still open after `MAX_LINES` or `MAX_RECORD` characters has a quote too many: its first line is a
    record of its own.
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
        length = len(line)
        while opened and len(record) < MAX_LINES and length < MAX_RECORD:
            line = again.popleft() if again else next(waiting, None)
            if line is None:
                break
            record.append(line)
            length += len(line)
            opened ^= is_open(line)
        if opened:
            again.extendleft(reversed(record[1:]))
            del record[1:]
        yield "".join(record)


def array_records(path: Path, source: Source) -> Iterator[str]:
    """The elements of a file that is one JSON array, each as it stands there, with a line end. The file may be large.

    Raises:
        ValueError: the array is damaged, or not the UTF-8 that it should be.
        InputError: an element is too long, or too deep, to be read.
    """
    # numbers stay text: one of thousands of digits is an error to Python
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    window = _Window(_text_chunks(path, source))
    if window.next_character() != "[":
        raise ValueError("it does not start with [")
    window.start += 1
    ended, number = window.next_character() == "]", 0
    while not ended:
        number += 1
        window.next_character()
        yield f"{_element(window, decoder, path, number)}\n"
        separator = window.next_character()
        if separator not in (",", "]"):
            raise ValueError(f"after element {number} neither a comma nor ] follows, but {separator!r}")
        ended = separator == "]"
        window.start += not ended
    window.start += 1
    if window.next_character():
        raise ValueError(f"more text follows the ] after element {number}")


def _element(window: _Window, decoder: json.JSONDecoder, path: Path, number: int) -> str:
    """The text of the element at which a window starts; the window then starts after it."""
    while True:
        try:
            _, end = decoder.raw_decode(window.text, window.start)
        except RecursionError as error:
            raise InputError(
                f"{path}: element {number} of its array is nested too deeply to be read. Deliver the file again "
                "without it."
            ) from error
        except json.JSONDecodeError as error:
            if not window.widen():
                raise ValueError(f"element {number} ends early or is no JSON: {error.msg}") from error
        else:
            # a number before the window's end may go on, also after e+
            if len(window.text) - end > len("e+") or not window.widen():
                element = window.text[window.start : end]
                window.start = end
                return element
        if len(window.text) - window.start > MAX_LINE:
            raise InputError(_too_long(path, f"element {number} of its array"))


@dataclass
class _Window:
    """The part of a text that is looked at, from ``start`` on."""

    chunks: Iterator[str]
    text: str = ""
    start: int = 0

    def widen(self) -> bool:
        """Doubles what is looked at, so that a long element is parsed few times; false at the end of the text."""
        kept = self.text[self.start :]
        more: list[str] = []
        length = 0
        while length <= len(kept) and (chunk := next(self.chunks, None)) is not None:
            more.append(chunk)
            length += len(chunk)
        if length:
            self.text, self.start = "".join([kept, *more]), 0
        return length > 0

    def next_character(self) -> str:
        """The character that comes after spaces, where the window starts from now on; none at the end of the text."""
        while True:
            self.start = SPACES.match(self.text, self.start).end()  # type: ignore[union-attr]
            if self.start < len(self.text):
                return self.text[self.start]
            if not self.widen():
                return ""


def _text_chunks(path: Path, source: Source) -> Iterator[str]:
    """A text file piece by piece, without the mark that some programs write before UTF-8."""
    encoding, errors = ("utf-8-sig", "strict") if source.is_utf8 else (source.encoding, "replace")
    with open_text(path) as file:
        yield from codecs.iterdecode(iter(lambda: file.read(CHUNK_BYTES), b""), encoding, errors)


def _too_long(path: Path, what: str) -> str:
    """What to do about a piece of a file that cannot be held in memory."""
    return (
        f"{path}: {what} is longer than {MAX_LINE >> 20} MiB. Lines have to end in a line feed, and a record should "
        f"not be longer than {MAX_RECORD >> 20} MiB. Deliver the file again, or correct encoding in mapping.toml."
    )


def _require_utf8(line: bytes, path: Path, number: int) -> None:
    """Raises an InputError if a line is not UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: line {number} is not UTF-8 (byte {line[error.start]:#04x}). Say in mapping.toml how the file is "
            f'encoded: encoding = "{_likely_encoding(line, number)}" in [logs] or [catalogue] is likely.'
        ) from error


def _likely_encoding(line: bytes, number: int) -> str:
    """An encoding that fits a line which is not UTF-8."""
    if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        line.decode("windows-1252")
    except UnicodeDecodeError:
        return "iso-8859-1"
    return "windows-1252"
