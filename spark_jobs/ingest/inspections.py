"""Reads every landed file to its end once, and remembers what that showed while the file stays as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.files import write_atomically
from contracts.mapping import Source
from contracts.places import identity
from contracts.settings import Settings
from spark_jobs.ingest.log_files import LogFile, inspect

READERS = 8

Memory = dict[str, LogFile]
"""What is known of the files of one folder, by `_identity`."""


@dataclass(frozen=True)
class Found:
    """A file that is to be inspected, and how it is read."""

    path: Path
    source: Source
    allow_empty: bool = False

    @property
    def shelf(self) -> tuple[Path, str]:
        """Files of one folder that are read in one way are remembered together."""
        return self.path.parent, self.source.dialect


def inspect_all(settings: Settings, found: Iterable[Found]) -> dict[Found, LogFile]:
    """What reading each file shows: remembered from the last time where the file is the same, else read now.

    Raises:
        InputError: a file cannot be read to its end.
    """
    each = list(dict.fromkeys(found))
    known = {shelf: _remembered(settings, *shelf) for shelf in {file.shelf for file in each}}
    # taken before reading: a file that changes meanwhile is another one the next time
    identities = {file: identity(file.path) for file in each}

    def one(file: Found) -> LogFile:
        return known[file.shelf].get(identities[file]) or inspect(file.path, file.source, allow_empty=file.allow_empty)

    with ThreadPoolExecutor(READERS) as pool:
        files = dict(zip(each, pool.map(one, each), strict=True))
    for shelf, memory in known.items():
        # a file of zero bytes is right or wrong by what the run allows: that is asked each time
        now = {
            identities[file]: seen
            for file, seen in files.items()
            if file.shelf == shelf and file.path.stat().st_size
        }  # fmt: skip
        if now != memory:
            _remember(settings, *shelf, now)
    return files


def _memory_file(settings: Settings, folder: Path, dialect: str) -> Path:
    landing = settings.landing
    inside = type(folder) is type(landing) and folder.is_relative_to(landing)
    elsewhere = Path("elsewhere", str(folder).replace("://", "/").lstrip("/"))
    below = folder.relative_to(landing).as_posix() if inside else elsewhere
    way = f"-{hashlib.sha256(dialect.encode()).hexdigest()[:12]}" if dialect else ""
    return settings.home / "inspections" / below / f"files{way}.json"


def _remembered(settings: Settings, folder: Path, dialect: str) -> Memory:
    try:
        kept: dict[str, dict[str, Any]] = json.loads(_memory_file(settings, folder, dialect).read_text())
        return {told: _log_file(folder, file) for told, file in kept.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # a memory that is missing or damaged costs reading the files again, no more


def _log_file(folder: Path, told: Mapping[str, Any]) -> LogFile:
    columns, types = tuple(told["columns"]), tuple(told["types"])
    known = (folder / told["path"], told["format"], told["records"], columns, told["header"], types, told["is_array"])
    return LogFile(*known, told["repeated"])


def _remember(settings: Settings, folder: Path, dialect: str, memory: Memory) -> None:
    told = {known: asdict(file) | {"path": file.path.name} for known, file in memory.items()}
    write_atomically(_memory_file(settings, folder, dialect), json.dumps(told, indent=1))
