"""
### Fine-tune the model: a challenger from the newest events, promoted only if it is better

Runs weekly, after the night of Friday has taken in and validated its events, or when a night finds no champion. The
as-of date is the end of the run's data interval: as of `2017-12-23` the model sees events before the 23rd, tests on
the last 7 days of them, validates on the 7 before and trains on what is older.

| task | does | when it fails |
| --- | --- | --- |
| `wait_for_night` | of a scheduled run: waits until the events of the last day are there | run that night, clear it |
| `build_splits` | train, validation and test sequences, and which versions of the tables they are of | |
| `fine_tune` | item tower, user encoder, ranker | out of memory: lower the batch in the settings |
| `evaluate` | embeds the catalogue, compares with champion and baselines; the champion changes, or not | |
| `refit` | a new champion learns the days of the test too; skipped if it is kept out | the judged one scores on |

**Waiting takes no worker**: `wait_for_night` is *deferred* for `[weekly] wait_minutes` at most, and then fails, or
trains without that night where `without_night = "train"` says so. A run that somebody, or a night, asked for does not
wait.
**What a night writes meanwhile** changes nothing: training and evaluation read the versions of `events` and `items`
that the sequences were made from, also when a single task is cleared. `evaluate` judges what its own run trained.
**Run it by hand**: `make model AS_OF=2017-12-23`, or trigger it with the parameter `as_of`. A challenger that
does not win is no failure: `model_evaluations` shows both, `model_decisions` and the night's report say why.

`fine_tune` and `refit` run in the pool and the queue `gpu`, on the GPU where one is visible. With Celery, start a
worker for it with `airflow celery worker --queues gpu`; the LocalExecutor takes all queues.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from contracts import tables
from contracts.dag_runs import WEEKLY
from contracts.pools import GPU, write_pool
from wiring.alerts import ALERTS
from wiring.failures import RETRIES
from wiring.jobs import OptionalJob, PythonJob, SparkJob
from wiring.lineage import assets
from wiring.run import AS_OF, EVERY_RUN, TRAINED, TRAINING_PARAMS, at_midnight
from wiring.waiting import NightSensor

with DAG(
    WEEKLY,
    doc_md=__doc__,
    description="A challenger from the newest events, promoted only if it is better",
    schedule=at_midnight("SAT"),
    **EVERY_RUN,
    params=TRAINING_PARAMS,
    default_args={**RETRIES, **ALERTS, "execution_timeout": timedelta(hours=2)},
    tags=["nightshift", "weekly", "gpu"],
):
    wait_for_night = NightSensor(task_id="wait_for_night")
    build_splits = SparkJob(
        task_id="build_splits",
        job="build_splits",
        arguments=AS_OF,
        pool=write_pool(tables.SEQUENCES),
        outlets=assets(tables.SEQUENCES),
    )
    fine_tune = PythonJob(
        task_id="fine_tune",
        module="models.fine_tune",
        arguments=AS_OF,
        pool=GPU,
        queue="gpu",
        execution_timeout=timedelta(hours=12),
    )
    evaluate = SparkJob(
        task_id="evaluate",
        job="evaluate",
        arguments=[*AS_OF, TRAINED],
        # no other task writes the first two; item_vectors have a second writer, each night's embed_items
        pool=write_pool(tables.ITEM_VECTORS),
        outlets=assets(tables.MODEL_EVALUATIONS, tables.MODEL_DECISIONS, tables.ITEM_VECTORS),
    )

    refit = OptionalJob(
        task_id="refit",
        module="models.refit",
        arguments=[*AS_OF, TRAINED],
        pool=GPU,
        queue="gpu",
    )

    wait_for_night >> build_splits >> fine_tune >> evaluate >> refit
