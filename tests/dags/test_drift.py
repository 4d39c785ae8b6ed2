"""The end of a night in Airflow: a fine-tuning starts only where drift asks for it and the night is published."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="module")
def environ(airflow_environ: dict[str, str]) -> dict[str, str]:
    """Airflow with the DAGs of cases/, the one that may be started among them."""
    made = airflow_environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(CASES)}
    subprocess.run(["airflow", "dags", "reserialize"], env=made, capture_output=True, check=True)
    return made


def end_of_night(
    environ: dict[str, str], database: Path, day: int, **conf: object
) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    """State of the run, states of its tasks, and ids of the runs that it started."""
    command = ["airflow", "dags", "test", "drifting", f"2024-01-{day:02}", "--conf", json.dumps(conf)]
    subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    with closing(sqlite3.connect(database)) as opened:
        of_day = f"dag_id = 'drifting' and logical_date like '2024-01-{day:02}%'"
        ((run_id, state),) = opened.execute(f"select run_id, state from dag_run where {of_day}").fetchall()
        tasks = opened.execute("select task_id, state from task_instance where run_id = ?", (run_id,)).fetchall()
        asked = opened.execute(
            "select run_id, conf from dag_run where dag_id = 'asked_for' and run_id = ?", (f"drift-{run_id}",)
        ).fetchall()
    return state, dict(tasks), asked


def test_a_published_night_that_has_drifted_starts_one(environ: dict[str, str], airflow_database: Path) -> None:
    state, tasks, asked = end_of_night(environ, airflow_database, 2, drifted=True)
    assert (state, set(tasks.values())) == ("success", {"success"})
    ((_, conf),) = asked
    assert json.loads(conf) == {"as_of": "2017-01-02"}


def test_without_drift_nothing_starts_not_even_the_task(environ: dict[str, str], airflow_database: Path) -> None:
    state, tasks, asked = end_of_night(environ, airflow_database, 3)
    assert (state, tasks["start_fine_tuning"], tasks["write_report"], asked) == ("success", "skipped", "success", [])


def test_a_fine_tuning_that_cannot_start_is_red_and_the_night_a_success(
    environ: dict[str, str], airflow_database: Path
) -> None:
    state, tasks, asked = end_of_night(environ, airflow_database, 7, drifted=True, starts="no_such_dag")
    assert (state, tasks["start_fine_tuning"], asked) == ("success", "failed", [])


def test_a_measure_that_fails_is_red_and_the_night_a_success(environ: dict[str, str], airflow_database: Path) -> None:
    state, tasks, asked = end_of_night(environ, airflow_database, 4, measure=65, drifted=True)
    assert tasks == {
        "measure_drift": "failed",
        "publish": "success",
        "write_report": "success",
        "start_fine_tuning": "skipped",
        "drift_done": "success",
    }
    assert (state, asked) == ("success", [])


@pytest.mark.parametrize(("day", "conf"), [(5, {"drifted": True}), (6, {})])
def test_a_held_night_is_a_failure_and_starts_nothing(
    environ: dict[str, str], airflow_database: Path, day: int, conf: dict[str, object]
) -> None:
    state, tasks, asked = end_of_night(environ, airflow_database, day, publish=67, **conf)
    assert (state, tasks["publish"], tasks["start_fine_tuning"], asked) == ("failed", "failed", "skipped", [])
