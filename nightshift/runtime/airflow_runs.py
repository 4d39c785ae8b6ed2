"""Runs one DAG to its end through `airflow dags test`: short progress on the screen, the log in a file.

    python -m nightshift.runtime.airflow_runs night --ds 2017-12-26 [--allow-empty]
    python -m nightshift.runtime.airflow_runs model --as-of 2017-12-23

The exit code is the run's: 0 only when Airflow calls the run a success, 64 while the same run goes on elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from contracts.cli import AsOf, argument, main
from contracts.errors import ERROR_PREFIX, NightshiftError, SettingsError
from contracts.interval import Interval
from contracts.settings import Settings
from nightshift.runtime.environment import environment

QUIET_SECONDS = 8
"""A running task's own messages are shown at most this often."""

STARTED = re.compile(r"\[DAG TEST\] starting task_id=(\S+)")
STATE = re.compile(r"Task instance state updated .* new_state=(\w+)")
ENDED = re.compile(r"\[DAG TEST\] end task task_id=(\S+)")
ERROR = re.compile(rf"({re.escape(ERROR_PREFIX)}.*?)(?:\s+\[[\w.]+\] loc=.*)?$")
MESSAGE = re.compile(r"\d\d:\d\d:\d\d (?:INFO|WARNING) nightshift\S*: (.*?)(?:\s+\[[\w.]+\] loc=.*)?$")

STATES = {"success": "", "failed": "FAILED", "up_for_retry": "failed, Airflow tries again in a minute or two"}
"""Airflow's states in words."""


class RunError(NightshiftError):
    """A DAG run failed."""

    exit_code = 1


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG, owning the last whole interval of its schedule before ``end``."""

    name: str
    dag_id: str
    end: date
    conf: Mapping[str, object] = field(default_factory=dict)

    @property
    def logical_date(self) -> str:
        """What `airflow dags test` takes.

        A run by hand owns the last interval that ends at or before it. One second later, because `dags test`
        deletes a run of the same logical date, and midnight is the logical date of the next scheduled night.
        """
        return f"{self.end}T00:00:01+00:00"


def night(ds: date, conf: Mapping[str, object] | None = None) -> DagRun:
    """The nightly run of ``ds``."""
    return DagRun(f"night-{ds}", "nightly_recommendations", Interval.of_night(ds).end, conf or {})


def model(as_of: date) -> DagRun:
    """A fine-tuning run on the events before ``as_of``."""
    return DagRun(f"model-{as_of}", "fine_tune_model", as_of, {"as_of": str(as_of)})


def log_file(settings: Settings, name: str) -> Path:
    """Where the full log of a run goes."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


@contextmanager
def alone(settings: Settings, name: str) -> Iterator[None]:
    """One run of a name at a time: a second `airflow dags test` of the same date would end the first without a word.

    The lock is the system's: it ends with the process that holds it, however that ends.

    Raises:
        SettingsError: the run goes on in another process.
    """
    locks = settings.home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"run-{name}.lock", timeout=0)
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


class Progress:
    """Turns Airflow's log into a line a task, and keeps the first error line."""

    def __init__(self) -> None:
        self.error = ""
        self._task = self._state = ""
        self._started = self._shown = time.monotonic()

    def follow(self, lines: Iterable[str], copy: IO[str]) -> None:
        """Reads ``lines`` to their end, writes them to ``copy`` and shows what matters."""
        for line in lines:
            copy.write(line)
            copy.flush()
            self._show(line)

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if match := STARTED.search(line):
            self._task, self._started, self._shown = match[1], now, now
        elif match := STATE.search(line):
            self._state = STATES.get(match[1], match[1])
        elif match := ENDED.search(line):
            self._print(f"{match[1]:<16} {now - self._started:6.1f} s  {self._state}")
        elif match := ERROR.search(line):
            self.error = self.error or match[1]
        elif (match := MESSAGE.search(line)) and now - self._shown > QUIET_SECONDS:
            self._print(f"{self._task:<16} … {match[1]}")
            self._shown = now

    def _print(self, text: str) -> None:
        print(f"    {text}", flush=True)


def run_to_end(settings: Settings, name: str, command: Sequence[str]) -> None:
    """Runs a command in the project's environment with its log in a file and its progress on the screen.

    Raises:
        RunError: it failed; the message carries the job's error line and the log's path.
        SettingsError: it runs already, in another process.
    """
    with alone(settings, name):
        file = log_file(settings, name)
        print(f"{name} (log: {file})", flush=True)
        exit_code, error = _follow(command, environment(settings, os.environ), file)
    if exit_code:
        reason = error.removeprefix(ERROR_PREFIX).strip() or "no job explained why"
        raise RunError(f"{name} failed: {reason}\n    The whole log: {file}")


def _follow(command: Sequence[str], environ: Mapping[str, str], log: Path) -> tuple[int, str]:
    """Exit code and first error line of a command, whose output goes to the file ``log``."""
    progress = Progress()
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        assert process.stdout
        progress.follow(process.stdout, copy)
    return process.returncode, progress.error


def run_dag(settings: Settings, run: DagRun) -> None:
    """Runs a DAG to its end.

    Raises:
        RunError: a task failed.
        SettingsError: the same run goes on in another process.
    """
    conf = ["--conf", json.dumps(run.conf)] if run.conf else []
    run_to_end(settings, run.name, ["airflow", "dags", "test", run.dag_id, run.logical_date, *conf])


@dataclass(frozen=True)
class OneNight:
    """The night that is run."""

    ds: date = argument("the night: the day whose logs it owns")
    allow_empty: bool = argument("let the night pass without records, such as when the shop was closed", default=False)


def run_night(settings: Settings, arguments: OneNight) -> None:
    """Runs the nightly DAG."""
    run_dag(settings, night(arguments.ds, {"allow_empty": True} if arguments.allow_empty else None))


def run_model(settings: Settings, arguments: AsOf) -> None:
    """Runs the DAG that fine-tunes."""
    run_dag(settings, model(arguments.as_of))


def command_line(argv: Sequence[str]) -> None:
    """Entry point: the first word says which DAG."""
    match list(argv):
        case ["night", *rest]:
            main(run_night.__doc__, OneNight, run_night, rest)
        case ["model", *rest]:
            main(run_model.__doc__, AsOf, run_model, rest)
        case ["-h" | "--help", *_]:
            print(__doc__)
        case _:
            usage = "usage: python -m nightshift.runtime.airflow_runs night|model [--help]"
            print(f"{usage}: found {' '.join(argv) or 'nothing'}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    command_line(sys.argv[1:])
