"""One writer a table: a lock on a file of this machine, or in an object store a lease that its holder keeps alive.

In a store the leases of a table are numbered objects below `.locks/` of the lake, and the newest one counts. Who wants
to write creates the next number, which the store lets only one do, as soon as the newest one was given back, or has not
been renewed for `EXPIRES` seconds on the clock of whoever waits: its holder was killed. A holder that was only asleep
is told when it ends, as an error: its step runs again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from contracts import places, s3
from contracts.errors import StorageError
from contracts.settings import Settings

log = logging.getLogger("nightshift")

FOLDER = ".locks"
"""Below the lake, in a store."""

EXPIRES = 60.0
"""After so many seconds without a sign of life a writer is taken for dead."""
BEAT = 10.0
"""Seconds between two signs of life."""
LOOK = 0.5
"""Seconds between two looks of who waits."""


@contextmanager
def locked(settings: Settings, name: str) -> Iterator[None]:
    """Holds the lock ``name`` of the lake; waits for it as long as another writer lives.

    Raises:
        SettingsError: the store cannot hold a lock.
        StorageError: the store cannot be reached.
    """
    if places.is_remote(settings.lake):
        with leased(settings.lake / FOLDER / name):
            yield
        return
    locks = settings.home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{name}.lock"):
        yield


@contextmanager
def leased(folder: Path) -> Iterator[None]:
    """Holds the lease whose objects lie in a folder of a store; as `locked`."""
    s3.require_conditional_writes(folder.parent)
    lease = _acquired(folder)
    ended = threading.Event()
    beats = threading.Thread(target=lease.keep, args=(ended,), daemon=True)
    beats.start()
    failed = True
    try:
        yield
        failed = False
    finally:
        ended.set()
        beats.join()
        # where the block has failed, that is the news
        with suppress(StorageError) if failed else nullcontext():
            lease.give_back()


@dataclass
class _Lease:
    """A numbered object that says who writes, and that it lives."""

    file: Path
    holder: str
    beat: int = 0

    @property
    def content(self) -> bytes:
        return json.dumps({"holder": self.holder, "beat": self.beat}).encode()

    def keep(self, ended: threading.Event) -> None:
        """Renews it until it is given back. One renewal may fail: then the next one counts."""
        while not ended.wait(BEAT):
            self.beat += 1
            with suppress(Exception):
                self.file.write_bytes(self.content)

    def give_back(self) -> None:
        """Lets the next one write. Its object stays, so that numbers only grow.

        Raises:
            StorageError: another writer has taken over meanwhile.
        """
        if newer := [each for each in _numbers(self.file.parent) if each > self.file.name]:
            raise StorageError(
                f"Another writer has taken over {self.file.parent} ({newer[-1]}), for this process was not heard of "
                f"for {EXPIRES:.0f} s: what it wrote may not be there. Run the step again."
            )
        try:
            self.file.write_bytes(json.dumps({"holder": self.holder, "released": True}).encode())
        except Exception as error:  # what was written stays: the next writer waits until the lease ends by itself
            log.warning("The lock %s could not be given back: %s", self.file, error)


def _acquired(folder: Path) -> _Lease:
    """A lease of one's own, as soon as nobody has one."""
    holder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    seen, since, told = ("", b""), time.monotonic(), False
    while True:
        there = _numbers(folder)
        newest = there[-1] if there else None
        content = s3.content(folder / newest) if newest else b""
        if content is None:  # a newer one has come, and has tidied up
            continue
        state = _read(content)
        if newest and not state.get("released"):
            if (newest, content) != seen:
                seen, since = (newest, content), time.monotonic()
            silent = time.monotonic() - since
            if silent < EXPIRES:
                if not told and silent > LOOK:
                    log.info("Waits for the writer that holds %s: %s.", folder, state.get("holder"))
                    told = True
                time.sleep(LOOK)
                continue
            log.warning(
                "The writer that holds %s has not been heard of for %.0f s: it is taken for dead (%s).",
                folder, silent, state.get("holder"),
            )  # fmt: skip
        lease = _Lease(folder / f"{int(newest or 0) + 1:020}", holder)
        # an answer that was lost is asked for again: then the object that is there is one's own
        if s3.create(lease.file, lease.content) or s3.content(lease.file) == lease.content:
            for number in there:
                with suppress(OSError):
                    (folder / number).unlink()
            return lease


def _numbers(folder: Path) -> list[str]:
    """The leases that there are, the newest last."""
    try:
        return sorted(name for name in places.names(folder) if name.isdecimal())
    except Exception as error:
        if told := s3.explained(error):
            raise told from error
        raise


def _read(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
