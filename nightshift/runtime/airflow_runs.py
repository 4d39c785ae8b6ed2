"""Runs one DAG to its end through Airflow's scheduler: short progress on the screen, all of its log in a file.

Uses the Airflow of `make ui` where it runs, else one that is started for it and stopped after it. A run is a
success only when Airflow calls it one and a task did something.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from contracts.dag_runs import AFTER_DRIFT, FOR_A_NIGHT, NIGHTLY, WEEKLY
from contracts.errors import SettingsError
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.waiting import WAITS, Patience
from nightshift.runtime.airflow_api import ENDED, FINISHED, Api
from nightshift.runtime.commands import Messages, RunError, alone, log_file, show
from nightshift.runtime.environment import airflow_home
from nightshift.runtime.home import prepare
from nightshift.runtime.services import Running, airflow

POLL_SECONDS = 2.0
HEALTH_SECONDS = 30
"""How often it is asked whether the scheduler still works."""

START_AFTER_DRIFT = "start_fine_tuning"
"""Task of a night that starts a fine-tuning which nobody in the DAG waits for."""

SHOWN = {"success": "", "failed": "FAILED", "up_for_retry": "failed, Airflow tries again in a minute or two"}
"""States of a task that are shown, in words; skipped tasks are not."""

DEFERRED = "deferred"
"""State of a task that waits in the triggerer."""


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG that owns the days of ``interval``, of which it takes the last one as its night."""

    name: str
    dag_id: str
    interval: Interval
    conf: Mapping[str, object] = field(default_factory=dict)


def night(ds: date, conf: Mapping[str, object] | None = None) -> DagRun:
    """The nightly run of ``ds``."""
    return DagRun(f"night-{ds}", NIGHTLY, Interval.of_night(ds), conf or {})


def model(as_of: date) -> DagRun:
    """A fine-tuning run on the events before ``as_of``."""
    week = Interval(as_of - timedelta(days=7), as_of)
    return DagRun(f"model-{as_of}", WEEKLY, week, {"as_of": str(as_of)})


def history(until: date, start: date) -> DagRun:
    """The first load: takes in the days from ``start`` up to, not including, ``until``; nothing is scored."""
    last = until - timedelta(days=1)
    conf = {"ingest_from": str(start), "ingest_only": True}
    return DagRun(f"history-{last}", NIGHTLY, Interval.of_night(last), conf)


def may_wait(settings: Settings, run: DagRun, now: datetime) -> bool:
    """Whether a run may have logs to wait for: an old night has not."""
    return run.dag_id == NIGHTLY and now < Patience.of(settings, run.interval.ds).give_up_at


def run_dag(settings: Settings, run: DagRun) -> None:
    """Runs a DAG to its end, in a home that it prepares where that was not done yet.

    Raises:
        RunError: it failed, or nothing ran; the message carries the job's error line and the log's path.
        SettingsError: the same run goes on in another process, the home cannot be prepared, or the DAG is paused
            in the Airflow that is used.
    """
    with alone(settings, run.name):
        prepare(settings)
        log = log_file(settings, run.name)
        print(f"{run.name} (log: {log})", flush=True)
        waits = may_wait(settings, run, datetime.now(UTC))
        with airflow(settings, run.name, waits=waits) as api, log.open("w", encoding="utf-8") as copy:
            if api.is_paused(run.dag_id):
                raise SettingsError(f"{run.dag_id} is paused in the Airflow on {api.url}: unpause it there first.")
            run_id = _start(settings, api, run)
            progress = Progress(settings, api, copy)
            try:
                state = _wait(api, run, run_id, progress)
            except KeyboardInterrupt:
                api.fail(run.dag_id, run_id)
                raise
            if state == "success" and progress.drifted and not is_shared(settings):
                fine_tune_after(api, run, run_id, progress)
    if state != "success":
        raise progress.messages.failure(run.name, log)
    if not progress.succeeded:
        raise RunError(f"{run.name} ended without running any task: nothing was done.\n    The whole log: {log}")


def is_shared(settings: Settings) -> bool:
    """Whether the Airflow that is used goes on when this command ends."""
    running = Running.of(settings)
    return running is not None and running.shared


def fine_tune_after(api: Api, run: DagRun, run_id: str, progress: Progress) -> None:
    """Waits for the fine-tuning that drift has started: it would be cut off. The night stands, whatever comes of it."""
    asked = f"{AFTER_DRIFT}{run_id}"
    show(f"The events have drifted: {asked} fine-tunes a model (Ctrl-C leaves it out; the night is published)")
    weekly = DagRun(asked, WEEKLY, run.interval)
    try:
        if _wait(api, weekly, asked, progress) != "success":
            show("The fine-tuning failed; the nights go on with the model that they have")
    except KeyboardInterrupt:
        api.fail(WEEKLY, asked)
        show("The fine-tuning is left out")


def _start(settings: Settings, api: Api, run: DagRun) -> str:
    """Asks for the run, and gives its id."""
    now = datetime.now(UTC)
    start, end = run.interval.bounds(settings.shop.zone)
    # a run of the same logical date would be in the way: each has its own, after the end of its interval
    logical_date = end + timedelta(hours=now.hour, minutes=now.minute, seconds=now.second, microseconds=now.microsecond)
    run_id = f"{run.name}--{now:%Y-%m-%dT%H-%M-%S}"
    api.start(run.dag_id, run_id, logical_date, (start, end), run.conf)
    return run_id


def _wait(api: Api, run: DagRun, run_id: str, progress: Progress) -> str:
    """The state in which the run ended."""
    asked = time.monotonic()
    while True:
        # each call takes the server's time, of which the tasks then have less: the run is asked only when they end
        state = api.state(run.dag_id, run_id) if progress.look(run.dag_id, run_id) else ""
        if state in FINISHED:
            return state
        if time.monotonic() - asked > HEALTH_SECONDS:
            asked = time.monotonic()
            api.require_scheduler()
            if progress.waits:
                api.require_triggerer()
            if not progress.succeeded and api.state(run.dag_id, run_id) == "queued":
                others = [other for dag_id, other in api.unfinished() if dag_id == run.dag_id and other != run_id]
                show(f"waits for {', '.join(others) or 'the scheduler'}")
        time.sleep(POLL_SECONDS)


class Progress:
    """Shows a line for each task that ends, some of what the running ones say, and copies all their logs."""

    def __init__(self, settings: Settings, api: Api, copy: IO[str]) -> None:
        self.messages = Messages()
        self.succeeded = 0
        self.waits = False
        self.drifted = False
        self._logs = airflow_home(settings) / "logs"
        self._api, self._copy = api, copy
        self._read: dict[Path, int] = {}
        self._ended: set[tuple[str, str, int]] = set()
        self._waits_for: dict[tuple[str, str], str] = {}
        self._shown: set[str] = set()

    def look(self, dag_id: str, run_id: str) -> bool:
        """Takes in what happened since the last look; whether all tasks have ended."""
        tasks = self._api.tasks(dag_id, run_id)
        for task in sorted(tasks, key=lambda task: task["start_date"] or ""):
            # a task that only orders others does nothing: it is neither shown nor counted
            if not task["start_date"] or task["operator"] == "EmptyOperator":
                continue
            if task["task_id"] == WEEKLY and dag_id != WEEKLY:
                self.look(WEEKLY, f"{FOR_A_NIGHT}{run_id}")
            self.drifted |= task["task_id"] == START_AFTER_DRIFT and task["state"] == "success"
            self._follow(task)
            self._show(task)
        self.waits = any(task["state"] == DEFERRED for task in tasks)
        return all(task["state"] in ENDED for task in tasks)

    def _follow(self, task: Mapping[str, Any]) -> None:
        """Copies what a task's log has got since the last look."""
        of_task = f"dag_id={task['dag_id']}/run_id={task['dag_run_id']}/task_id={task['task_id']}"
        for file in sorted((self._logs / of_task).glob("attempt=*.log")):
            with file.open("rb") as log:
                log.seek(self._read.get(file, 0))
                new = log.read()
            whole = new[: new.rfind(b"\n") + 1]  # the last line may still be written
            self._read[file] = self._read.get(file, 0) + len(whole)
            lines = list(readable(whole.decode(errors="replace").splitlines()))
            self._copy.writelines(f"{task['task_id']} | {line}\n" for line in lines)
            self._copy.flush()
            for line in lines:
                if WAITS in line:
                    self._waits_for[task["dag_run_id"], task["task_id"]] = line[line.index(WAITS) :]
            self.messages.follow(lines, task["task_id"])

    def _show(self, task: Mapping[str, Any]) -> None:
        """A line for a task that ended, or began to wait, since the last look."""
        if task["state"] == DEFERRED:
            told = self._waits_for.get((task["dag_run_id"], task["task_id"]), "")
            if told and told not in self._shown:
                self._shown.add(told)
                show(f"{task['task_id']:<16} … {told[0].lower()}{told[1:]}")
            return
        key = (task["dag_run_id"], task["task_id"], task["try_number"])
        if task["state"] not in SHOWN or key in self._ended:
            return
        self._ended.add(key)
        self.succeeded += task["state"] == "success"
        show(f"{task['task_id']:<16} {task['duration'] or 0:6.1f} s  {SHOWN[task['state']]}")


def readable(lines: Sequence[str]) -> Iterator[str]:
    """Airflow's log lines, which are JSON, as a person reads them."""
    for line in lines:
        try:
            told = json.loads(line)
            yield f"{told['timestamp'][11:19]} {told['level']:<7} {told['event']}"
        except (ValueError, TypeError, KeyError):
            yield line
