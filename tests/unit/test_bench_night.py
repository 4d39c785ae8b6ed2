"""The shop of bench-night is what it says, its steps are the DAG's, and figures come out of an event log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import PROJECT, Settings
from nightshift.bench_night import steps, tasks
from nightshift.bench_night.parts import grouped
from nightshift.bench_night.run import Again, Night, only_cores
from nightshift.bench_night.shop import DAYS, NIGHT, Size, catalogue, days, draw, write, write_day_after
from nightshift.bench_night.steps import DRIVER, DRIVER_PYTHON, EXECUTORS, WORKERS, Step, Taken
from nightshift.bench_night.tasks import IN_PYTHON, Tasks
from nightshift.command.app import app
from nightshift.command.bench_night import draw as draw_night
from nightshift.command.bench_night import draw_growth
from nightshift.command.terminal import screen
from nightshift.runtime.commands import RunError

SIZE = Size(users=200, items=300, events=3_000)


def test_a_shop_has_as_many_events_as_it_says_and_one_user_with_a_third_of_them() -> None:
    events = draw(SIZE)
    of_user = np.bincount(events.users, minlength=SIZE.users)
    assert (len(of_user), of_user.sum(), len(events.items)) == (200, 3_000, 3_000)
    assert of_user.min() >= 1
    assert of_user[0] >= SIZE.heavy == 1_000
    assert of_user[1:].max() > 5 * np.median(of_user)
    of_item = np.sort(np.bincount(events.items, minlength=SIZE.items))[::-1]
    assert of_item[:30].sum() > 3_000 / 3
    assert Size(100_000, 50_000, 3_000_000).heavy == 100_000


def test_its_logs_are_the_same_each_time_and_the_nights_catalogue_has_new_texts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, SIZE)
    files = sorted(file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*.jsonl"))
    assert len(files) == DAYS + 2
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    lines = [line for day in days().days for line in (tmp_path / f"a/events/ds={day}/events.jsonl").open()]
    assert len(lines) == SIZE.events
    assert json.loads(lines[0])["event_time"].startswith(str(days().start))
    before, after = (catalogue(SIZE, changed=changed)["title"] for changed in (False, True))
    assert before.is_unique
    assert (before != after).sum() == SIZE.items // 100


def test_the_day_after_has_as_many_events_as_any_and_all_of_some_users(tmp_path: Path) -> None:
    write(tmp_path, SIZE)
    write_day_after(tmp_path, SIZE, 0.05)
    day = NIGHT + timedelta(days=1)
    rows = [json.loads(each) for each in (tmp_path / f"events/ds={day}/events.jsonl").open()]
    assert len(rows) == SIZE.events // DAYS
    assert len({row["user_id"] for row in rows}) == 10
    assert {row["event_time"][:10] for row in rows} == {str(day)}


def test_the_steps_are_those_of_the_dag() -> None:
    dag = (PROJECT / "dags" / "nightly_recommendations.py").read_text()
    named = re.findall(r'(?:job|module)="(?:spark_jobs\.)?(\w+)"', dag)
    ours = [step.name for step in steps.night(Interval.of_night(NIGHT), "m", Path("/tmp"))]
    assert sorted(ours) == sorted(named)
    assert ours[-3:] == ["score_users", "publish", "report"]


def test_a_step_that_needs_spark_is_submitted_and_another_is_a_module(settings: Settings) -> None:
    command = Step("publish", ("--ds", "2026-03-01"), options=("--conf", "a=b")).command(settings)
    assert command[:3] == ["spark-submit", "--master", settings.spark.master]
    assert command[-5:-2] == ["--conf", "a=b", str(PROJECT / "spark_jobs" / "publish.py")]
    assert Step("report", (), spark=False).command(settings) == [sys.executable, "-m", "spark_jobs.report"]
    assert Step("models.fine_tune", (), spark=False).command(settings)[-1] == "models.fine_tune"


def test_what_a_step_takes_is_watched_and_what_fails_is_told(settings: Settings) -> None:
    done = steps.run(settings, Step("nightshift.bench_night.shop", (), spark=False))
    assert done.peaks[DRIVER_PYTHON] > 1_000_000
    assert done.seconds > 0
    with pytest.raises(RunError, match=r"models\.nothing failed"):
        steps.run(settings, Step("models.nothing", (), spark=False))


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["/opt/java/bin/java", "org.apache.spark.deploy.SparkSubmit", "publish.py"], DRIVER),
        (["java", "org.apache.spark.executor.CoarseGrainedExecutorBackend"], EXECUTORS),
        (["python", "-m", "pyspark.daemon"], WORKERS),
        (["python", "publish.py"], DRIVER_PYTHON),
        ([], DRIVER_PYTHON),
    ],
)
def test_processes_are_told_apart(command: list[str], kind: str) -> None:
    assert steps.kind_of(command) == kind


def task(stage: int, milliseconds: int, python: int | None = None) -> dict[str, object]:
    told = [{"Name": "records read", "Update": 3}]
    told += [] if python is None else [{"Name": IN_PYTHON, "Update": f"{python}"}]
    return {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": stage,
        "Task Info": {"Accumulables": told, "Launch Time": 1000 * stage, "Finish Time": 1000 * stage + milliseconds},
        "Task Metrics": {"Executor Run Time": milliseconds},
    }


def test_tasks_with_workers_score_and_all_others_read(tmp_path: Path) -> None:
    events = [
        {"Event": "SparkListenerJobStart"},
        task(0, 3000),
        task(1, 1000),
        task(4, 5000, 4000),
        task(4, 2000, 1500),
        task(4, 100),  # of a slice without users
    ]
    (tmp_path / "app").write_text("".join(json.dumps(each) + "\n" for each in events))
    found = tasks.read(tmp_path)
    assert found.writing == pytest.approx(1.6)
    assert replace(found, writing=1.6) == Tasks(4.0, 5.5, 1.6, 5.0, 3.5, 5.0)


def night(users: int, factor: float) -> Night:
    names = [step.name for step in steps.night(Interval.of_night(NIGHT), "m", Path("/tmp"))]
    took = [Taken(name, factor * 2, {DRIVER: 10**9, WORKERS: 10**8}) for name in names]
    parts = grouped(
        {"user encoder": 0.2, "all candidates": 0.5, "features": 0.3, "ranker": 0.1, "all, with rows of Arrow": 1.0}
    )
    return Night(Size(users, 100, 10 * users), users, took, Tasks(4.0, 5.0, 1.0, 5.0, 3.5, 6.0), parts)


OF_A_USER = {"encoding": 0.2, "matching": 0.3, "ranking": 0.4, "choosing, rows": 0.1}
AROUND = {"reading": 4.0, "sending, writing": 1.0}


@pytest.mark.parametrize(
    ("users", "starting", "times"),
    [
        pytest.param(1000, 4.0, 1, id="what users leave of Python is its start"),
        pytest.param(10_000, 0.0, 5, id="parts that come out larger than the whole are scaled to it"),
    ],
)
def test_python_is_the_parts_of_all_users_and_its_start(users: int, starting: float, times: float) -> None:
    inside = {name: each * times for name, each in OF_A_USER.items()}
    assert night(users, 1).scoring_parts == pytest.approx(AROUND | {"starting Python": starting} | inside)


def test_the_tables_have_every_step_and_how_it_grows(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = night(1000, 1), night(4000, 3)
    draw_night(screen(), first)
    draw_growth(screen(), first, second)
    shown = capsys.readouterr().out
    assert re.search(r"score_users +2\.0 +12\.5% +500 +1,000 +100", shown)
    assert re.search(r"night +16\.0 +100\.0% +62 +1,000 +100", shown)
    assert re.search(r"starting Python +4\.0 +40\.0%", shown)
    assert "4.0 times as many users" in shown
    assert re.search(r"score_users +2\.0 → 6\.0 +3\.0 +1,000 → 1,000 +1\.0", shown)


def test_more_executors_are_compared_by_the_time_from_their_first_task_to_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    walls = {1: 60.0, 2: 32.0}
    again = [
        Again(
            number, Taken("score_users", wall + 20, {EXECUTORS: number * 10**9}), Tasks(4.0, 5.0, 1.0, 5.0, 3.5, wall)
        )
        for number, wall in walls.items()
    ]
    draw_night(screen(), replace(night(1000, 1), again=again))
    shown = capsys.readouterr().out
    assert re.search(r"1 +80\.0 +60\.0 +1\.00 +1,000 +0", shown)
    assert re.search(r"2 +52\.0 +32\.0 +1\.88 +2,000 +0", shown)


def test_what_is_started_meanwhile_has_so_many_cores() -> None:
    before = os.sched_getaffinity(0)
    told = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
    with only_cores(1):
        assert subprocess.check_output(told, text=True).strip() == "1"
    assert os.sched_getaffinity(0) == before


def test_too_few_events_are_refused() -> None:
    found = CliRunner().invoke(app, ["bench-night", "--users", "1000", "--events", "1500"])
    assert found.exit_code == InputError.exit_code
    assert "raise --events" in found.output
