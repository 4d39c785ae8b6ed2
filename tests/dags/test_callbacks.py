"""The callbacks of tasks, with a web server on this machine: what is sent, for which task, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from contracts.dag_runs import NIGHTLY, WATCH, WEEKLY
from contracts.notices import of_run
from contracts.settings import PROJECT, Settings, load_settings
from nightshift.alerts.standing import stopped
from nightshift.runtime.environment import environment
from tests.servers import Inbox, serving

Call = dict[str, Any]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """The server."""
    with serving() as inbox:
        yield inbox


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """An empty home."""
    return load_settings({"NIGHTSHIFT_HOME": str(tmp_path), "NIGHTSHIFT_PROFILE": "demo"})


@pytest.fixture
def called(home: Settings, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes calls in a process of their own, and gives what that has logged."""
    hook = {"conn_type": "http", "host": f"http://127.0.0.1:{inbox.http}/hook"}
    monkeypatch.setenv("AIRFLOW_CONN_NIGHTSHIFT_WEBHOOK", json.dumps(hook))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "dags"), prepend=os.pathsep)

    def call(*calls: Call) -> str:
        script = Path(__file__).parent / "cases" / "calling_back.py"
        command = [sys.executable, str(script), *map(json.dumps, calls)]
        done = subprocess.run(command, env=environment(home, os.environ), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def of(name: str, task: str, *, dag: str = NIGHTLY, run: str = "r1", **more: Any) -> Call:
    """A call for a task."""
    return {"call": name, "dag": dag, "run": run, "task": task, **more}


def test_what_has_no_turn_disturbs_no_task_and_goes_out_with_the_next(
    home: Settings, inbox: Inbox, called: Callable[..., str]
) -> None:
    said = called(
        of("announce", "wait_for_logs", busy=True),
        of("failed", "land_events", line="nightshift: ERROR: There is no log.", busy=True),
        of("ended", "write_report", busy=True),
    )
    assert said.count("No alert: TimeoutError: another task is still sending.") == 3
    assert [(told.notice.kind, told.is_sent) for told in of_run(home, "r1")] == [("late", False), ("failed", False)]
    assert inbox.posts == []
    called(of("ended", "write_report"))
    assert [told["what"] for told in inbox.to("/hook")] == ["No log yet.", "land_events: There is no log."]
    # sent once, and of a task that fails again in the same way once more
    called(of("ended", "write_report"), of("failed", "land_events", line="nightshift: ERROR: There is no log."))
    assert [told["kind"] for told in inbox.to("/hook")] == ["late", "failed", "failed"]


def test_a_watch_that_fails_says_that_nobody_has_looked_and_not_that_the_night_failed(
    home: Settings, inbox: Inbox, called: Callable[..., str]
) -> None:
    called(of("failed", "ask", dag=WATCH, line="nightshift: ERROR: nightshift.toml has a mistake."))
    (told,) = inbox.to("/hook")
    assert (told["kind"], told["headline"]) == (
        "beside", "Nightshift: A task beside the lists of the night 2017-12-24 failed",
    )  # fmt: skip
    assert told["what"] == (
        "The watch at the deadline failed: nobody has looked whether the night 2017-12-24 is published. "
        "ask: nightshift.toml has a mistake."
    )
    # the banner does not say that it was the night
    assert stopped(home, date(2017, 12, 24), [], []) == (None, None)


def test_a_run_of_one_dag_sends_nothing_of_a_run_of_another_one_with_the_same_id(
    inbox: Inbox, called: Callable[..., str]
) -> None:
    saturday = "scheduled__2017-12-25T00:00:00+00:00"
    called(
        of("announce", "wait_for_logs", run=saturday, busy=True),
        of("failed", "fine_tune", dag=WEEKLY, run=saturday, line="nightshift: ERROR: Out of memory.", busy=True),
        of("ended", "build_splits", dag=WEEKLY, run=saturday),
        of("ended", "ask", dag=WATCH, run=saturday),
        of("ended", "land_events", run=saturday),
    )
    assert [(told["kind"], told["run_id"], told["link"].split("/dags/")[1]) for told in inbox.to("/hook")] == [
        (kind, saturday, f"{dag}/runs/scheduled__2017-12-25T00%3A00%3A00%2B00%3A00/tasks/{task}")
        for kind, dag, task in (("model", WEEKLY, "build_splits"), ("late", NIGHTLY, "land_events"))
    ]


def test_a_night_leaves_it_to_its_fine_tuning_to_say_why_it_failed(inbox: Inbox, called: Callable[..., str]) -> None:
    waits = of("failed", "fine_tune_model", waited_for="for-r1")
    called(of("failed", "fine_tune", dag=WEEKLY, run="for-r1", line="nightshift: ERROR: Out of memory."))
    called(waits | {"started": 0})
    assert [told["kind"] for told in inbox.to("/hook")] == ["model"]
    # it failed without a word of its own
    called(waits)
    assert [told["what"] for told in inbox.to("/hook")][1:] == ["fine_tune_model failed, because the run for-r1 did."]
