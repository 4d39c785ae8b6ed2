"""Jobs that may find nothing to do. Loaded as a DAG file by test_optional.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

import wiring.jobs

# jobs are looked for below the project: here tests/dags/cases/project
vars(wiring.jobs)["PROJECT"] = Path(__file__).parent / "project"

with DAG(
    "optional",
    start_date=datetime(2017, 1, 1, tzinfo=UTC),
    schedule=None,
    default_args={"retries": 0, "execution_timeout": timedelta(minutes=1)},
):
    wiring.jobs.OptionalJob(task_id="does", module="spark_jobs.exits", arguments=["0"])
    # the one that explains gives no result
    wiring.jobs.OptionalJob(task_id="finds_nothing", module="spark_jobs.explains", arguments=["0", "nothing"])
    wiring.jobs.OptionalJob(task_id="fails", module="spark_jobs.exits", arguments=["65"])
