"""Jobs that fail, through the project's operators. Loaded as a DAG file by test_failures.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, TriggerRule

import wiring.jobs
from wiring.champion import MODEL
from wiring.failures import RETRIES
from wiring.run import TRAINED

# jobs are looked for below the project: here tests/dags/cases/project
vars(wiring.jobs)["PROJECT"] = Path(__file__).parent / "project"

with DAG(
    "failing",
    start_date=datetime(2017, 1, 1, tzinfo=UTC),
    default_args={**RETRIES, "retries": 1, "retry_delay": timedelta(seconds=1)},
):
    # a night that fine-tuned its first model: no task chose one, embedding asks for it. After the tasks without a model
    embed = wiring.jobs.SparkJob(
        task_id="embed_items", job="exits", arguments=["0", MODEL], trigger_rule=TriggerRule.ALL_DONE
    )
    for code, told in {
        0: ["--ds", "2017-01-01"],
        1: ["--start", "2017-01-01", "--end", "2017-01-08"],
        66: ["--as-of", "2017-01-08"],
    }.items():
        wiring.jobs.PythonJob(task_id=f"python_{code}", module="spark_jobs.exits", arguments=[str(code), ""])
        # no task chose a model here: the last argument renders to nothing
        wiring.jobs.SparkJob(task_id=f"spark_{code}", job="exits", arguments=[str(code), *told, MODEL]) >> embed
    embed >> wiring.jobs.SparkJob(task_id="score_users", job="exits", arguments=["0", "--scored", MODEL])
    # no task trained a model here
    wiring.jobs.SparkJob(task_id="evaluate", job="exits", arguments=["0", "--judged", TRAINED])
    one_day = ["--start", "2017-01-01", "--end", "2017-01-02"]
    wiring.jobs.SparkJob(task_id="one_day", job="exits", arguments=["0", *one_day])
