"""Where the lake and the landing folder lie: a folder of this machine, or a prefix in an object store, by its URI.

A place is a `pathlib.Path`, or has the same methods (`upath.UPath`): whoever reads does not ask which. What differs is
here: a listing costs a request, nothing can be renamed, and a file tells its content by its ETag rather than its inode.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from upath import UPath

LOCAL, S3 = "file", "s3a"
WITHOUT_LOCK = ("abfs", "abfss", "gs", "hdfs")
"""Schemes of stores for which Delta has a log store, and this project neither a lock nor a test."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
GLOB = re.compile(r"[\[\]{}*?\\]")
"""Characters that mean something in a glob."""


def scheme_of(text: str) -> str:
    """The scheme of a URI, in lower case; `LOCAL` for a plain path."""
    told = SCHEME.match(text)
    return told[1].lower() if told else LOCAL


def checked(text: str) -> str:
    """The text of a place, as it was.

    Raises:
        ValueError: it is the URI of something that cannot be read and written, or of no folder; in one line.
    """
    scheme = scheme_of(text)
    if scheme in ("s3", "s3n"):
        raise ValueError(f"the scheme is {S3}:, as Spark calls it, such as {S3}://bucket/lake")
    if scheme in WITHOUT_LOCK:
        raise ValueError(
            f"{scheme}: is not supported yet: nothing here keeps two writers of a table apart there. Use a folder that "
            f"all machines share, or {S3}://bucket/…"
        )
    if scheme not in (LOCAL, S3):
        raise ValueError(f"{scheme}: is no known scheme: expected a path, file:/path or {S3}://bucket/…")
    told = urlsplit(text) if SCHEME.match(text) else None
    if scheme == LOCAL:
        if told and told.netloc not in ("", "localhost"):
            raise ValueError("a file: of another machine: expected file:/path")
        return text
    if not told or not BUCKET.fullmatch(told.netloc) or not told.path.strip("/"):
        raise ValueError(f"expected {S3}://bucket/folder, without credentials or a port")
    if told.query or told.fragment or GLOB.search(text) or "%" in text or "//" in told.path.strip("/"):
        raise ValueError("a folder's name in a store has none of [ ] { } * ? % # \\ and no empty part")
    return text


def place(text: str, base: Path, options: dict[str, Any]) -> Path:
    """The folder or file of a path, which may be relative to ``base``, or of a URI.

    ``options`` are those of fsspec for the store. It is typed as what it behaves like.
    """
    if scheme_of(text) != LOCAL:
        from upath import UPath

        return cast("Path", UPath(text.rstrip("/"), **options))
    local = unquote(urlsplit(text).path) if SCHEME.match(text) else text
    return (base / Path(local).expanduser()).resolve()


def is_remote(where: Path) -> bool:
    """Whether a place lies in an object store."""
    return not isinstance(where, PurePath)


def like(where: Path, text: str) -> Path:
    """The place of ``text``, which is the text of one in the same store, or on the same machine, as ``where``."""
    if not is_remote(where):
        return Path(text)
    return place(text, Path(), dict(_upath(where).storage_options))


def key(where: Path) -> str:
    """Bucket and name of what lies in a store."""
    return _upath(where).path.rstrip("/")


def names(folder: Path) -> list[str]:
    """Names of what is in a folder, in no order; none where it does not exist."""
    if not is_remote(folder):
        return [each.name for each in folder.iterdir()] if folder.is_dir() else []
    try:
        found = _upath(folder).fs.ls(key(folder), detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # a store may have an object with the name of the folder itself
    return [name for each in found if (name := each.rstrip("/").rpartition("/")[2]) and each.strip("/") != key(folder)]


def files(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that a glob describes, in no order."""
    if not is_remote(folder):
        return [path for path in folder.glob(pattern) if path.is_file()]
    # with the kinds of what it has found: asking for each would be a request a file
    found = _upath(folder).fs.glob(f"{key(folder)}/{pattern}", detail=True)
    return [
        folder / name.removeprefix(f"{key(folder)}/")
        for name, told in found.items()
        if told["type"] == "file" and not name.endswith("/")
    ]


def remove(folder: Path) -> None:
    """Deletes a folder with all that is in it, if it is there."""
    if not is_remote(folder):
        if folder.is_dir():
            shutil.rmtree(folder)
    elif names(folder):
        _upath(folder).fs.rm(key(folder), recursive=True)


def lacking(folder: Path, wanted: list[str]) -> int:
    """How many of the files at the URIs ``wanted``, below a folder, are not there."""
    if not is_remote(folder):
        return sum(not Path(file).exists() for file in wanted)
    there = set(_upath(folder).fs.find(key(folder)))
    return sum(unquote(urlsplit(file).netloc + urlsplit(file).path) not in there for file in wanted)


def identity(file: Path) -> str:
    """Name, size, and what changes with the content: inode and time of change, or in a store ETag and time."""
    told = file.stat()
    if not is_remote(file):
        return f"{file.name} {told.st_size} {told.st_ino} {told.st_ctime_ns}"
    return f"{file.name} {told.st_size} {cast('Any', told).as_info().get('ETag')} {told.st_mtime}"


def written(file: Path) -> datetime:
    """When a file was last written, by its own time, which a copy to a folder may keep; UTC."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def came(file: Path) -> datetime:
    """When a file was last written or came here; UTC. In a store nothing comes with an older time."""
    told = file.stat()
    return datetime.fromtimestamp(told.st_mtime if is_remote(file) else max(told.st_mtime, told.st_ctime), UTC)


@contextmanager
def scratch(prefix: str, within: Path | None = None) -> Iterator[str]:
    """A folder for one use, as Spark takes it; below ``within`` for what all machines have to see."""
    if within is None or not is_remote(within):
        with tempfile.TemporaryDirectory(prefix=prefix, dir=within) as folder:
            yield folder
        return
    made = within / f"{prefix}{secrets.token_hex(8)}"
    try:
        yield str(made)
    finally:
        remove(made)


def _upath(where: Path) -> UPath:
    return cast("UPath", where)
