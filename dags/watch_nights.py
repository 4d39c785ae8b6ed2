"""
### Watch the nights: at the deadline, are yesterday's lists published?

Runs every day at the time that `[alerts] deadline` says, by the shop's clock, and tells people when the night of
the day before is not published. It is a DAG of its own, so that it also tells of a night that never began: because
the nightly DAG is paused, or nothing ran at midnight. If nothing runs at the deadline either, it runs when the
scheduler is back.

The run is a success in both cases: it has asked. Where messages go to: docs/alerts.md.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from contracts.dag_runs import WATCH
from contracts.settings import load_settings
from wiring.alerts import ALERTS
from wiring.deadline import ask
from wiring.failures import RETRIES
from wiring.run import EVERY_RUN, at

with DAG(
    WATCH,
    doc_md=__doc__,
    description="At the deadline: are yesterday's lists published?",
    schedule=at(load_settings().alerts.deadline),
    **EVERY_RUN,
    # a server pauses new DAGs; this one says that the nightly one is paused
    is_paused_upon_creation=False,
    default_args={**RETRIES, **ALERTS, "execution_timeout": timedelta(minutes=10)},
    tags=["nightshift", "nightly"],
):
    PythonOperator(task_id="ask", python_callable=ask)
