"""What of a run's tasks and their logs reaches the screen and the run's own log."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts.dag_runs import AFTER_DRIFT, FOR_A_NIGHT, NIGHTLY, WEEKLY
from contracts.settings import Settings
from nightshift.runtime.airflow_api import Api
from nightshift.runtime.airflow_runs import Progress, fine_tune_after, model, night
from nightshift.runtime.environment import airflow_home

RUN = "night-2017-12-23--now"


class Told(Api):
    """An API that tells of these task instances, by run."""

    def __init__(self, runs: dict[str, list[dict[str, Any]]]) -> None:
        self.runs = runs

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [task | {"dag_id": dag_id, "dag_run_id": run_id} for task in self.runs.get(run_id, [])]

    def state(self, dag_id: str, run_id: str) -> str:
        return "failed" if any(task["state"] == "failed" for task in self.tasks(dag_id, run_id)) else "success"


def task(
    task_id: str,
    state: str | None,
    start: str | None = "12:00",
    duration: float | None = 1.5,
    operator: str = "SparkJob",
) -> dict[str, Any]:
    made = {"task_id": task_id, "state": state, "start_date": start, "duration": duration, "try_number": 1}
    return made | {"operator": operator}


def log(settings: Settings, dag_id: str, run_id: str, task_id: str, *events: str, end: str = "\n") -> Path:
    """Adds lines to a task's log, as Airflow writes them."""
    folder = airflow_home(settings) / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"timestamp": "2026-11-24T20:00:01Z", "level": "info", "event": event}) for event in events]
    with (folder / "attempt=1.log").open("a") as file:
        file.write("\n".join(lines) + end)
    return folder


def test_a_run_owns_its_days_by_the_shops_clock() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    start, end = (moment.astimezone(UTC) for moment in night(date(2017, 12, 31)).interval.bounds(tokyo))
    assert (start, end) == (datetime(2017, 12, 30, 15, tzinfo=UTC), datetime(2017, 12, 31, 15, tzinfo=UTC))
    assert model(date(2017, 12, 23)).interval.end == date(2017, 12, 23)


def test_each_task_is_shown_once_with_those_of_the_run_that_it_triggered(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = io.StringIO()
    api = Told({
        RUN: [
            task("land_events", "success"), task(WEEKLY, "running"), task("publish", None, None),
            task("drift_done", "success", "12:03", operator="EmptyOperator"),
        ],
        f"{FOR_A_NIGHT}{RUN}": [task("evaluate", "failed", "12:01", None)],
    })  # fmt: skip
    progress = Progress(settings, api, copy)
    log(settings, NIGHTLY, RUN, "land_events", "20:00:01 INFO nightshift: 83 log files.")
    log(settings, WEEKLY, f"{FOR_A_NIGHT}{RUN}", "evaluate", "nightshift: ERROR: too few users: 3")
    progress.look(NIGHTLY, RUN)
    progress.look(NIGHTLY, RUN)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [["evaluate", "0.0", "s", "FAILED"], ["land_events", "1.5", "s"]] or shown == [
        ["land_events", "1.5", "s"],
        ["evaluate", "0.0", "s", "FAILED"],
    ]
    assert progress.succeeded == 1
    assert str(progress.messages.failure("night", Path("log"))).startswith("night failed: too few users: 3\n")


def test_the_fine_tuning_that_drift_starts_is_waited_for_and_fails_no_night(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = f"{AFTER_DRIFT}{RUN}"
    api = Told({
        RUN: [task("publish", "success"), task("start_fine_tuning", "success", "12:01")],
        asked: [task("build_splits", "failed", "12:02")],
    })  # fmt: skip
    progress = Progress(settings, api, io.StringIO())
    assert progress.look(NIGHTLY, RUN)
    assert progress.drifted
    fine_tune_after(api, night(date(2017, 12, 23)), RUN, progress)
    shown = capsys.readouterr().out
    assert f"{asked} fine-tunes a model" in shown
    assert "build_splits" in shown
    assert "The fine-tuning failed; the nights go on" in shown


def test_a_night_that_starts_no_fine_tuning_waits_for_none(settings: Settings) -> None:
    progress = Progress(settings, Told({RUN: [task("start_fine_tuning", "skipped")]}), io.StringIO())
    assert progress.look(NIGHTLY, RUN)
    assert not progress.drifted


def test_the_log_is_copied_as_it_grows_line_by_line(settings: Settings) -> None:
    copy = io.StringIO()
    progress = Progress(settings, Told({RUN: [task("validate", "running")]}), copy)
    log(settings, NIGHTLY, RUN, "validate", "first", "second", end="")
    progress.look(NIGHTLY, RUN)
    assert copy.getvalue() == "validate | 20:00:01 info    first\n"
    log(settings, NIGHTLY, RUN, "validate", end="\nnot JSON\n")
    progress.look(NIGHTLY, RUN)
    assert copy.getvalue().splitlines()[1:] == ["validate | 20:00:01 info    second", "validate | not JSON"]
