"""Runs one DAG to its end through `airflow dags test`: short progress on the screen, the log in a file.

    python -m spark_jobs.airflow_runs night --ds 2017-12-26
    python -m spark_jobs.airflow_runs model --as-of 2017-12-23

The exit code is the run's: 0 only when Airflow calls the run a success.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO

from spark_jobs.contracts.cli import entry
from spark_jobs.contracts.errors import ERROR_PREFIX, NightshiftError
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.settings import Settings
from spark_jobs.environment import environment

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
    """Where the full log of a step goes."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


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
    """
    file = log_file(settings, name)
    progress = Progress()
    with (
        file.open("w", encoding="utf-8") as copy,
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
        progress.follow(process.stdout, copy)
    if process.returncode:
        reason = progress.error.removeprefix(ERROR_PREFIX).strip() or "no job explained why"
        raise RunError(f"{name} failed: {reason}\n    The whole log: {file}")


def run_dag(settings: Settings, run: DagRun) -> None:
    """Runs a DAG to its end.

    Raises:
        RunError: a task failed.
    """
    conf = ["--conf", json.dumps(run.conf)] if run.conf else []
    run_to_end(settings, run.name, ["airflow", "dags", "test", run.dag_id, run.logical_date, *conf])


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    nightly = commands.add_parser("night", help="one night")
    nightly.add_argument("--ds", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="the night")
    nightly.add_argument("--allow-empty", action="store_true", help="a day without logs is right")
    training = commands.add_parser("model", help="one fine-tuning")
    training.add_argument(
        "--as-of", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="use events before this day"
    )
    arguments = parser.parse_args(argv)
    run = (
        night(arguments.ds, {"allow_empty": True} if arguments.allow_empty else None)
        if arguments.command == "night"
        else model(arguments.as_of)
    )
    print(f"{run.name} (log: {log_file(settings, run.name)})", flush=True)
    run_dag(settings, run)


if __name__ == "__main__":
    entry(main)
