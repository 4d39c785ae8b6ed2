"""
### Nightly recommendations: the day's logs in, the table of every user's top N out

Runs at the shop's midnight for the day that just ended. The run of the night `2017-12-23` owns the logs of
`[2017-12-23, 2017-12-24)`; its recommendations are for the 24th and after.

| task | does | when it fails |
| --- | --- | --- |
| `wait_for_logs` | waits until the day's logs are complete, by `[delivery]` in the settings | |
| `land_events` | finds the day's log files and the catalogue | deliver what the error names, clear the task |
| `clean_events` | events, rejects with reasons, items: written aside | the same, for what only reading shows |
| `validate` | Great Expectations on them; what passes is taken into the tables | mend the data, or the bound |
| `choose_model` | champion, or fine-tune the first one | |
| `measure_drift` | the last week against the model's training, beside the next two | red, and the night goes on |
| `embed_items` | vectors of new and changed texts | |
| `score_users` | every user's top N, and a list for whoever has none, to a staging table | |
| `publish` | audits, then replaces the date in one commit | the night is **held**: the last one stays |
| `write_report` | the night's page, also of a failed night, and the hindsight of a week ago | the night's state stays |
| `start_fine_tuning` | `fine_tune_model`, where drift asks for it and the night is published | start it by hand |

**Waiting takes no worker**: the task is *deferred*, and its log says what is missing and until when it waits. Logs
that have not come by `alert_after_minutes` after the day's end are told of; at `give_up_after_minutes` the night goes
on, and `land_events` says what is missing. An old night does not wait at all.

What goes wrong reaches people where Airflow has a connection for it, and whether a night is out at its deadline the
DAG `watch_nights` asks: docs/alerts.md.

**Run one night by hand**: `make night DS=2017-12-26`, or trigger the DAG with the logical date
`2017-12-27 00:00:01`: a run by hand owns the last whole day before its logical date.
**Run it again**: clear it. The same logs and the same model give the same table.
**A day without logs** (the shop was closed) is an error, unless the run's parameter `allow_empty` is set.
**First load of a history**: trigger the last day of it with `ingest_from` and `ingest_only`.

Exit codes 64–68 of a job mean that a retry would fail in the same way, and fail the task at once; everything
else is retried. The last error line of the log says what is wrong, where, and what to do.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, TriggerRule

from contracts import tables
from contracts.dag_runs import AFTER_DRIFT, FOR_A_NIGHT, NIGHTLY, WEEKLY
from contracts.pools import write_pool
from wiring.alerts import ALERTS
from wiring.champion import EMBED, MODEL, TASK, next_step
from wiring.drift import AskingJob, TriggerAsked
from wiring.failures import RETRIES
from wiring.jobs import PythonJob, SparkJob
from wiring.lineage import assets
from wiring.run import ALSO, DAYS, EVERY_RUN, NIGHT, NIGHT_PARAMS, RUN_ID, at_midnight
from wiring.waiting import LogsSensor

with DAG(
    NIGHTLY,
    doc_md=__doc__,
    description="The day's logs in, every user's recommendations out",
    schedule=at_midnight(),
    **EVERY_RUN,
    params=NIGHT_PARAMS,
    default_args={**RETRIES, **ALERTS, "execution_timeout": timedelta(hours=2)},
    tags=["nightshift", "nightly"],
):
    wait_for_logs = LogsSensor(task_id="wait_for_logs")
    land_events = PythonJob(
        task_id="land_events",
        module="spark_jobs.land_events",
        arguments=[*DAYS, *RUN_ID],
    )
    clean_events = SparkJob(
        task_id="clean_events",
        job="clean_events",
        arguments=[*DAYS, ALSO],
    )
    validate = SparkJob(
        task_id="validate",
        job="validate",
        arguments=[*DAYS, ALSO, *RUN_ID],
        pool=write_pool(tables.EVENTS),
        outlets=assets(
            tables.EVENTS,
            tables.EVENTS_REPEATED,
            tables.EVENTS_REJECTED,
            tables.INGEST_FILES,
            tables.INGEST_COUNTS,
            tables.ITEMS,
            tables.ITEMS_REJECTED,
            tables.QUALITY_RESULTS,
        ),
    )
    choose_model = BranchPythonOperator(
        task_id=TASK,
        python_callable=next_step,
        op_kwargs={"fine_tune": "fine_tune_model", "score": [EMBED, "measure_drift"]},
    )
    fine_tune_model = TriggerDagRunOperator(
        task_id="fine_tune_model",
        trigger_dag_id=WEEKLY,
        # a run that is cleared finds the one that it triggered before, and runs it again
        trigger_run_id=f"{FOR_A_NIGHT}{{{{ run_id }}}}",
        reset_dag_run=True,
        conf={"as_of": "{{ data_interval_end | day }}"},
        # deferred where Airflow's setting default_deferrable says so: that takes a triggerer
        wait_for_completion=True,
        poke_interval=5,
        fail_when_dag_is_paused=True,
        retries=0,
        execution_timeout=timedelta(hours=12),
    )
    measure_drift = AskingJob(
        task_id="measure_drift",
        module="spark_jobs.measure_drift",
        arguments=[*NIGHT, MODEL, "{{ '--backfill' if dag_run.run_type == 'backfill' else '' }}"],
        pool=write_pool(tables.DRIFT_RESULTS),
        outlets=assets(tables.DRIFT_RESULTS),
        execution_timeout=timedelta(minutes=30),
    )
    embed_items = SparkJob(
        task_id=EMBED,
        job="embed_items",
        arguments=[*NIGHT, MODEL],
        pool=write_pool(tables.ITEM_VECTORS),
        outlets=assets(tables.ITEM_VECTORS),
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    score_users = SparkJob(
        task_id="score_users",
        job="score_users",
        arguments=[*NIGHT, MODEL],
        pool=write_pool(tables.RECOMMENDATIONS),
    )
    publish = SparkJob(
        task_id="publish",
        job="publish",
        arguments=NIGHT,
        pool=write_pool(tables.RECOMMENDATIONS),
        outlets=assets(tables.QUALITY_RESULTS, tables.RECOMMENDATIONS, tables.PUBLICATIONS),
    )
    # a teardown runs whatever came before, and leaves the run's state to the others
    write_report = PythonJob(
        task_id="write_report",
        module="spark_jobs.report",
        arguments=NIGHT,
        pool=write_pool(tables.HINDSIGHT_RESULTS),
        outlets=assets(tables.HINDSIGHT_RESULTS),
        execution_timeout=timedelta(minutes=30),
    ).as_teardown()
    # after the teardown, so that `publish` stays what decides on the run's state
    start_fine_tuning = TriggerAsked(
        task_id="start_fine_tuning",
        asked_by="measure_drift",
        after="publish",
        trigger_dag_id=WEEKLY,
        trigger_run_id=f"{AFTER_DRIFT}{{{{ run_id }}}}",
        # the night runs again while it trains: it goes on
        skip_when_already_exists=True,
        conf={"as_of": "{{ data_interval_end | day }}"},
        trigger_rule=TriggerRule.NONE_SKIPPED,
        execution_timeout=timedelta(minutes=10),
    )
    # for the same reason: what came of drift is no failure of the night. Without callbacks it takes no process
    drift_done = EmptyOperator(
        task_id="drift_done", trigger_rule=TriggerRule.ALL_DONE, on_success_callback=None, on_failure_callback=None
    )

    wait_for_logs >> land_events >> clean_events >> validate >> choose_model
    choose_model >> [fine_tune_model, embed_items, measure_drift]
    fine_tune_model >> embed_items >> score_users >> publish >> write_report
    measure_drift >> [write_report, start_fine_tuning]
    write_report >> start_fine_tuning >> drift_done
