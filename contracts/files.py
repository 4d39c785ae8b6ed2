"""The one way to write a file or a folder: a reader sees the old or the new one, never a part."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.places import is_remote


def write_atomically(file: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Writes a file in one move, with the permissions ``mode``; makes its folder where it is missing.

    In an object store, which knows neither folders nor permissions, each write is one move.
    """
    if is_remote(file):
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        draft.touch(mode=mode)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def write_if_changed(file: Path, content: str) -> None:
    """`write_atomically`, only where the content changes: a run may be reading the file."""
    if not (file.exists() and file.read_text() == content):
        write_atomically(file, content)


@contextmanager
def complete_or_absent(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of ``folder`` only when the block ends well."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def secret(file: Path) -> str:
    """The secret that ``file`` holds, readable by its owner only; more than 256 random bits where there is none yet."""
    if not file.exists():
        write_atomically(file, secrets.token_urlsafe(48), mode=0o600)
    return file.read_text()
