"""Runs one command at a time under a name: its log in a file, its own messages on the screen, its error as ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

from filelock import FileLock, Timeout

from contracts.cli import NoArguments
from contracts.errors import ERROR_PREFIX, NightshiftError, SettingsError
from contracts.settings import Settings
from nightshift.runtime.environment import environment

QUIET_SECONDS = 8
"""A running task's own messages are shown at most this often."""

MESSAGE = re.compile(r"\d\d:\d\d:\d\d (?:INFO|WARNING) nightshift\S*: (.*)")
"""A line of a job that is meant for people."""


Setup = Callable[[Settings, NoArguments], None]


class RunError(NightshiftError):
    """A run failed."""

    exit_code = 1


def log_file(settings: Settings, name: str) -> Path:
    """Where the full log of a run goes."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def lock_file(settings: Settings, name: str) -> Path:
    """File of a lock that ends with the process that holds it, however that ends."""
    locks = settings.home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{name}.lock"


def in_turn(name: str) -> Callable[[Setup], Setup]:
    """Of two programs that set up the same part of the same home, the second one waits for the first."""

    def decorate(setup: Setup) -> Setup:
        @wraps(setup)
        def waiting(settings: Settings, arguments: NoArguments) -> None:
            with FileLock(lock_file(settings, name)):
                setup(settings, arguments)

        return waiting

    return decorate


@contextmanager
def aside(log: Path) -> Iterator[None]:
    """Sends what this process and those that it starts print as errors into a file: Java says much that is none."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def alone(settings: Settings, name: str) -> Iterator[None]:
    """One run of a name at a time.

    Raises:
        SettingsError: the run goes on in another process.
    """
    lock = FileLock(lock_file(settings, f"run-{name}"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise SettingsError(
            f"{name} runs already (its log: {log_file(settings, name)}): wait for its end, or stop it first."
        ) from error
    try:
        yield
    finally:
        lock.release()


def show(text: str) -> None:
    """Prints a line of a run's progress."""
    print(f"    {text}", flush=True)


class Messages:
    """Shows some of a job's messages, and keeps the first line that says why it failed."""

    def __init__(self) -> None:
        self.error = ""
        self._shown = time.monotonic()

    def follow(self, lines: Iterable[str], of: str) -> None:
        """Takes in the next lines of the job called ``of``."""
        for line in lines:
            if ERROR_PREFIX in line:
                self.error = self.error or line[line.index(ERROR_PREFIX) :].strip()
            elif (match := MESSAGE.search(line)) and time.monotonic() - self._shown > QUIET_SECONDS:
                show(f"{of:<16} … {match[1].rstrip()}")
                self._shown = time.monotonic()

    def failure(self, name: str, log: Path) -> RunError:
        """The error of the run ``name``, which failed."""
        reason = self.error.removeprefix(ERROR_PREFIX).strip() or "no job explained why"
        return RunError(f"{name} failed: {reason}\n    The whole log: {log}")


def run_to_end(settings: Settings, name: str, command: Sequence[str]) -> None:
    """Runs a command in the project's environment.

    Raises:
        RunError: it failed; the message carries its error line and the log's path.
        SettingsError: it runs already, in another process.
    """
    messages = Messages()
    with alone(settings, name):
        log = log_file(settings, name)
        print(f"{name} (log: {log})", flush=True)
        with (
            log.open("w", encoding="utf-8") as copy,
            subprocess.Popen(
                command,
                env=environment(settings, os.environ),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout
            for line in process.stdout:
                copy.write(line)
                copy.flush()
                messages.follow([line], name)
    if process.returncode:
        raise messages.failure(name, log)
