"""Runs through `airflow dags test`: which interval they own, and what of their log reaches the screen."""

from __future__ import annotations

import io
from datetime import date

import pytest

from spark_jobs.airflow_runs import Progress, model, night

LOG = """\
T [info     ] [DAG TEST] starting task_id=land_events map_index=-1 [airflow.sdk] loc=dag.py:1501
T [info     ] 15:23:15 INFO nightshift: 83 log files. [airflow.task.operators.wiring.jobs.PythonJob] loc=jobs.py:1
T [info     ] Task instance state updated    [airflow.api] correlation_id=1 new_state=success rows_affected=1
T [info     ] [DAG TEST] end task task_id=land_events map_index=-1 [airflow.sdk] loc=dag.py:1563
T [info     ] [DAG TEST] starting task_id=validate map_index=-1 [airflow.sdk] loc=dag.py:1501
T [error    ] nightshift: ERROR: too few rows: 3 [airflow.task.operators.wiring.jobs.SparkJob] loc=failures.py:5
T [info     ] Task instance state updated    [airflow.api] correlation_id=1 new_state=failed rows_affected=1
T [info     ] [DAG TEST] end task task_id=validate map_index=-1 [airflow.sdk] loc=dag.py:1563
"""


def test_a_run_is_asked_for_just_after_the_end_of_its_interval() -> None:
    assert night(date(2017, 12, 31)).logical_date == "2018-01-01T00:00:01+00:00"
    assert model(date(2017, 12, 23)).logical_date == "2017-12-23T00:00:01+00:00"


def test_progress_shows_a_line_a_task_and_keeps_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    copy, progress = io.StringIO(), Progress()
    progress.follow(io.StringIO(LOG), copy)
    assert copy.getvalue() == LOG
    assert progress.error == "nightshift: ERROR: too few rows: 3"
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(words[0], words[3:]) for words in shown] == [("land_events", []), ("validate", ["FAILED"])]
