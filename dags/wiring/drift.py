"""What follows when the events have drifted from the model's training: a fine-tuning, after the night is published."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from wiring.jobs import PythonJob

KEY = "drifted"
"""What `measure_drift` gives: whether it asks for a fine-tuning."""


class AskingJob(PythonJob, SkipMixin):
    """A job that is asked whether what follows it is to run. If not, that is skipped at once, and starts no process."""

    def execute(self, context: Context) -> None:
        """Runs the job, and skips what follows it where the job does not ask for it; teardowns run in any case."""
        super().execute(context)
        if not _given(context, self.task_id):
            self.skip(ti=context["ti"], tasks=[task for task in self.downstream_list if not task.is_teardown])


class TriggerAsked(TriggerDagRunOperator):
    """Triggers a DAG if the job ``asked_by`` asks for it and the task ``after`` was a success; skipped if not.

    Both are looked at here and not by a trigger rule: a job that cannot tell must not fail a night that is published.
    """

    def __init__(self, *, asked_by: str, after: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked_by, self.after = asked_by, after

    def execute(self, context: Context) -> None:
        """Triggers, or skips."""
        if not _given(context, self.asked_by):
            raise AirflowSkipException(f"{self.asked_by} has not asked for it.")
        ti: Any = context["ti"]
        run_id = context["run_id"]
        states = ti.get_task_states(dag_id=self.dag_id, task_ids=[self.after], run_ids=[run_id])
        if (state := states.get(run_id, {}).get(self.after)) != "success":
            raise AirflowSkipException(f"{self.after} is {state}: the night is not published.")
        super().execute(context)


def _given(context: Context, task_id: str) -> bool:
    return bool(context["ti"].xcom_pull(task_ids=task_id, key=KEY))
