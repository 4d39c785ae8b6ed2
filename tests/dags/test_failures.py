"""What the operators make of a job's exit code and results, seen in a real run: jobs that end with 0, 1 and 66."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from contracts.settings import Settings
from spark_jobs.cluster.environment import spark_defaults


@pytest.fixture(scope="module")
def run(settings: Settings, airflow_environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`airflow dags test` of cases/failing.py: one retry for each task."""
    # no session is started: an empty file of options will do
    options = spark_defaults(settings)
    options.parent.mkdir(parents=True, exist_ok=True)
    options.touch()
    environ = airflow_environ | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "cases"),
        "SPARK_SUBMIT_OPTS": "-Dof=operator",
    }
    return subprocess.run(
        ["airflow", "dags", "test", "failing", "2024-01-02"], env=environ, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def outcomes(run: subprocess.CompletedProcess[str], airflow_database: Path) -> dict[str, tuple[str, int]]:
    """State and number of tries of each task."""
    with closing(sqlite3.connect(airflow_database)) as database:
        rows = database.execute("select task_id, state, try_number from task_instance where dag_id = 'failing'")
        return {task: (state, tries) for task, state, tries in rows}


@pytest.mark.parametrize("kind", ["python", "spark"])
def test_final_failures_are_not_retried_and_others_are(outcomes: dict[str, tuple[str, int]], kind: str) -> None:
    assert outcomes[f"{kind}_0"] == ("success", 1)
    assert outcomes[f"{kind}_1"] == ("failed", 2)
    assert outcomes[f"{kind}_66"] == ("failed", 1)


def test_what_a_job_gives_goes_to_xcom_when_it_ends_well(outcomes: object, airflow_database: Path) -> None:
    with closing(sqlite3.connect(airflow_database)) as database:
        rows = database.execute("select task_id, key, value from xcom where dag_id = 'failing'").fetchall()
    given = {(task, key): json.loads(value) for task, key, value in rows if key in ("model_id", "versions")}
    assert given == {
        (task, key): value
        for task in ("python_0", "spark_0", "one_day", "embed_items", "score_users", "evaluate")
        for key, value in {"model_id": "2017-01-02-0", "versions": {"events": 3, "items": None}}.items()
    }


def test_scoring_takes_the_model_of_the_embedding_where_the_night_chose_none(
    run: subprocess.CompletedProcess[str],
) -> None:
    assert "working … --scored --model=2017-01-02-0 with" in run.stdout
    assert "working …  with" in run.stdout  # embedding is told none


def test_a_model_that_was_not_trained_is_asked_for_and_not_left_out(run: subprocess.CompletedProcess[str]) -> None:
    assert "working … --judged --model= with" in run.stdout


def test_the_log_ends_with_the_jobs_error_line_and_no_traceback(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 1
    assert "Traceback" not in run.stdout
    lines = run.stdout.splitlines()
    errors = [line.split("] ", 1)[1] for line in lines if "[error" in line]
    assert sum(line.startswith("nightshift: ERROR: told to end with 66") for line in errors) == 2
    assert sum(line.startswith("nightshift: ERROR: spark_jobs.exits ended with exit code 1") for line in errors) == 4


def test_jobs_of_a_night_get_its_java_options_and_long_ones_do_not(
    settings: Settings, run: subprocess.CompletedProcess[str]
) -> None:
    options = settings.spark.night_java_options
    assert options
    with_options, without = f"with Java options: -Dof=operator {options}.", "with Java options: -Dof=operator."
    assert f"--ds 2017-01-01 {with_options}" in run.stdout
    assert f"--start 2017-01-01 --end 2017-01-02 {with_options}" in run.stdout
    assert f"--start 2017-01-01 --end 2017-01-08 {without}" in run.stdout
    assert f"--as-of 2017-01-08 {without}" in run.stdout
