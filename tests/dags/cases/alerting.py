"""Tasks that have something to tell, through the project's callbacks. Loaded as a DAG file by test_alerts.py."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, get_current_context

import wiring.alerts
import wiring.jobs
from contracts.errors import HeldError, InputError, QualityError
from contracts.notices import Notice, tell
from contracts.settings import load_settings
from wiring.alerts import ALERTS, announce
from wiring.failures import RETRIES

# jobs are looked for below the project: here tests/dags/cases/project
vars(wiring.jobs)["PROJECT"] = Path(__file__).parent / "project"
# a server that does not answer holds up the test for so long
vars(wiring.alerts)["CALL_SECONDS"] = 4

EVIL = "<script>alert(1)</script> <!channel> @all [[ dag.dag_id ]]"
NIGHT = date(2017, 12, 24)


def tells() -> None:
    """Leaves two notices, one of them twice, as a job does that runs again."""
    hole = Notice("hole", NIGHT, "2017-12-20 has no log.", "Deliver it.")
    for notice in (hole, Notice("late_files", NIGHT, "1 file came later.", "Run that night again."), hole):
        tell(load_settings(), get_current_context()["run_id"], notice)


def waits() -> None:
    """Has something to say before it ends, and says it once."""
    for _ in range(2):
        announce(get_current_context(), Notice("late", NIGHT, "No log yet.", "Ask the shop."))


OPTIONS: dict[str, Any] = {
    "start_date": datetime(2017, 1, 1, tzinfo=UTC),
    "schedule": None,
    "default_args": {**RETRIES, **ALERTS, "retries": 1, "retry_delay": timedelta(seconds=1)},
}


def job(task_id: str, code: int, line: str) -> wiring.jobs.PythonJob:
    """A task whose job fails so."""
    return wiring.jobs.PythonJob(task_id=task_id, module="spark_jobs.explains", arguments=[str(code), line])


with DAG("alerting", **OPTIONS):
    job("validate", QualityError.exit_code, f"The data of 2017-12-24 failed. {EVIL}") >> job("after", 0, "never")
    job("publish", HeldError.exit_code, "The night 2017-12-24 is held.")
    job("land_events", InputError.exit_code, "There is no log of 2017-12-24.")
    job("breaks", 1, "It broke.")
    job("measure_drift", InputError.exit_code, "There are no events.")
    PythonOperator(task_id="tells", python_callable=tells) >> PythonOperator(task_id="again", python_callable=tells)
    PythonOperator(task_id="waits", python_callable=waits)

with DAG("alerting_once", **OPTIONS):
    job("land_events", InputError.exit_code, "There is no log of 2017-12-24.")

with DAG("alerting_waits", **OPTIONS):
    TriggerDagRunOperator(
        task_id="waits_for_it",
        trigger_dag_id="alerting_once",
        trigger_run_id="for-{{ run_id }}",
        wait_for_completion=True,
        poke_interval=1,
        retries=0,
    )
