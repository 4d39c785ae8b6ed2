"""Reads every landed file to its end once, and remembers what that showed while the file stays as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contracts.files import write_atomically
from contracts.settings import Settings
from spark_jobs.ingest.log_files import LogFile, inspect

READERS = 8

Memory = dict[str, LogFile]
"""What is known of the files of one folder, by `_identity`."""


def inspect_all(settings: Settings, paths: Sequence[Path], *, allow_empty: bool) -> dict[Path, LogFile]:
    """What reading each file shows: remembered from the last time where the file is the same, else read now.

    Raises:
        InputError: a file cannot be read to its end.
    """
    known = {folder: _remembered(settings, folder) for folder in {path.parent for path in paths}}
    # taken before reading: a file that changes meanwhile is another one the next time
    identities = {path: _identity(path) for path in paths}

    def one(path: Path) -> LogFile:
        return known[path.parent].get(identities[path]) or inspect(path, allow_empty=allow_empty)

    with ThreadPoolExecutor(READERS) as pool:
        files = dict(zip(paths, pool.map(one, paths), strict=True))
    for folder, memory in known.items():
        # a file of zero bytes is right or wrong by what the run allows: that is asked each time
        now = {identities[path]: file for path, file in files.items() if path.parent == folder and path.stat().st_size}
        if now != memory:
            _remember(settings, folder, now)
    return files


def _identity(path: Path) -> str:
    """Name, size, inode and time of change: another content has another one."""
    stat = path.stat()
    return f"{path.name} {stat.st_size} {stat.st_ino} {stat.st_ctime_ns}"


def _memory_file(settings: Settings, folder: Path) -> Path:
    return settings.home / "inspections" / folder.relative_to(settings.landing) / "files.json"


def _remembered(settings: Settings, folder: Path) -> Memory:
    try:
        kept: dict[str, dict[str, Any]] = json.loads(_memory_file(settings, folder).read_text())
        return {identity: _log_file(folder, told) for identity, told in kept.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # a memory that is missing or damaged costs reading the files again, no more


def _log_file(folder: Path, told: Mapping[str, Any]) -> LogFile:
    columns, types = tuple(told["columns"]), tuple(told["types"])
    return LogFile(folder / told["path"], told["format"], told["records"], columns, told["header"], types)


def _remember(settings: Settings, folder: Path, memory: Memory) -> None:
    told = {identity: asdict(file) | {"path": file.path.name} for identity, file in memory.items()}
    write_atomically(_memory_file(settings, folder), json.dumps(told, indent=1))
