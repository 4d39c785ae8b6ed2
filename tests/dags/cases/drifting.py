"""The end of a night, with jobs that end as the run's conf says. Loaded as a DAG file by test_drift.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

import wiring.jobs
from wiring.drift import AskingJob, TriggerAsked

# jobs are looked for below the project: here tests/dags/cases/project
vars(wiring.jobs)["PROJECT"] = Path(__file__).parent / "project"

START = datetime(2017, 1, 1, tzinfo=UTC)

with DAG("asked_for", start_date=START, schedule=None):
    wiring.jobs.PythonJob(task_id="build_splits", module="spark_jobs.exits", arguments=["0"])

with DAG(
    "drifting",
    start_date=START,
    schedule=None,
    params={"measure": 0, "publish": 0, "drifted": False, "starts": "asked_for"},
    default_args={"retries": 0, "execution_timeout": timedelta(minutes=1)},
):
    measure_drift = AskingJob(
        task_id="measure_drift",
        module="spark_jobs.exits",
        arguments=["{{ params.measure }}", "{{ '--drifted' if params.drifted else '' }}"],
    )
    publish = wiring.jobs.PythonJob(task_id="publish", module="spark_jobs.exits", arguments=["{{ params.publish }}"])
    write_report = wiring.jobs.PythonJob(
        task_id="write_report", module="spark_jobs.exits", arguments=["0"]
    ).as_teardown()
    start_fine_tuning = TriggerAsked(
        task_id="start_fine_tuning",
        asked_by="measure_drift",
        after="publish",
        trigger_dag_id="{{ params.starts }}",
        trigger_run_id="drift-{{ run_id }}",
        skip_when_already_exists=True,
        conf={"as_of": "2017-01-02"},
        trigger_rule=TriggerRule.NONE_SKIPPED,
    )
    drift_done = EmptyOperator(task_id="drift_done", trigger_rule=TriggerRule.ALL_DONE)

    publish >> write_report >> start_fine_tuning >> drift_done
    measure_drift >> [write_report, start_fine_tuning]
