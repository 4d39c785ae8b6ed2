"""What is asked of a running Airflow, through its REST API."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx

from contracts.errors import NightshiftError, RegistryError, SettingsError
from contracts.settings import Settings
from nightshift.runtime.environment import password_file

# it tells of every call
logging.getLogger("httpx").setLevel(logging.WARNING)

PATIENCE_SECONDS = 60
"""How long a call is repeated while nobody answers: two busy cores can keep the server waiting."""

SILENCE = timedelta(minutes=3)
"""How long a scheduler may give no sign of life: its heart beats every few seconds."""

FINISHED = ("success", "failed")
"""States of a run that has ended."""

ENDED = (*FINISHED, "skipped", "upstream_failed", "removed")
"""States of a task that has ended."""


class AirflowError(RegistryError):
    """Airflow does not answer, or refused what was asked: trying again can help."""


def answers(url: str) -> bool:
    """Whether an API server answers."""
    try:
        return httpx.get(f"{url}/api/v2/monitor/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


class Api:
    """One Airflow, asked as the user admin."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30)
        password = json.loads(password_file(settings).read_text())["admin"]
        token = self._call("POST", "/auth/token", {"username": "admin", "password": password})["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def start(
        self,
        dag_id: str,
        run_id: str,
        logical_date: datetime,
        interval: tuple[datetime, datetime],
        conf: Mapping[str, object],
    ) -> None:
        """Asks for a run that owns the data interval ``interval``.

        Raises:
            SettingsError: Airflow refuses the run, such as for a parameter that it does not know.
        """
        start, end = interval
        body = {
            "dag_run_id": run_id,
            "logical_date": logical_date.isoformat(),
            "data_interval_start": start.isoformat(),
            "data_interval_end": end.isoformat(),
            "conf": dict(conf),
        }
        # a call whose answer was lost is repeated, and then the run is there already
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, instead={HTTPStatus.CONFLICT: {}})

    def backfill(self, dag_id: str, start: datetime, end: datetime, at_once: int) -> None:
        """Asks for the scheduled runs between two moments, as the UI's form does; ``at_once`` may go on together."""
        body = {
            "dag_id": dag_id,
            "from_date": start.isoformat(),
            "to_date": end.isoformat(),
            "max_active_runs": at_once,
            "reprocess_behavior": "completed",
        }
        self._call("POST", "/api/v2/backfills", body)

    def runs_of_type(self, dag_id: str, run_type: str) -> list[dict[str, Any]]:
        """The runs of a DAG of one type, such as `backfill`, by their data intervals."""
        found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?run_type={run_type}&limit=100")["dag_runs"]
        return sorted(found, key=lambda run: str(run["data_interval_start"]))

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a run."""
        return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run; none where there is no such run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._call("GET", path, instead={HTTPStatus.NOT_FOUND: {"task_instances": []}})
        return list(found["task_instances"])

    def unfinished(self) -> list[tuple[str, str]]:
        """Runs that are queued or go on: (dag_id, run_id)."""
        found = self._call("GET", "/api/v2/dags/~/dagRuns?state=queued&state=running&limit=100")
        return [(run["dag_id"], run["dag_run_id"]) for run in found["dag_runs"]]

    def fail(self, dag_id: str, run_id: str) -> None:
        """Ends a run and all its tasks as failed."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        self._call("PATCH", path, {"state": "failed"})
        for task in self.tasks(dag_id, run_id):
            # the report is a teardown, which Airflow would still run, and the next run would wait for it
            if task["state"] not in ENDED:
                self._call("PATCH", f"{path}/taskInstances/{task['task_id']}", {"new_state": "failed"})

    def require_scheduler(self) -> None:
        """Asks whether the scheduler works.

        Raises:
            AirflowError: it has given no sign of life for a long time.
        """
        scheduler = self._call("GET", "/api/v2/monitor/health")["scheduler"]
        beat = scheduler["latest_scheduler_heartbeat"]
        if beat is None or datetime.now(UTC) - datetime.fromisoformat(beat) > SILENCE:
            raise AirflowError(f"The scheduler of the Airflow on {self.url} gave no sign of life since {beat}.")

    def require_triggerer(self) -> None:
        """Asks whether somebody wakes the tasks that wait.

        Raises:
            AirflowError: there is no triggerer, or it has given no sign of life for a long time.
        """
        beat = self._call("GET", "/api/v2/monitor/health")["triggerer"]["latest_triggerer_heartbeat"]
        if beat is None or datetime.now(UTC) - datetime.fromisoformat(beat) > SILENCE:
            raise AirflowError(
                f"A task waits, and nobody would wake it: the Airflow on {self.url} has no triggerer"
                f"{f', or none that gave a sign of life since {beat}' if beat else ''}. Start `airflow triggerer`."
            )

    def is_paused(self, dag_id: str) -> bool:
        """Whether the runs of a DAG wait until somebody unpauses it."""
        return bool(self._call("GET", f"/api/v2/dags/{dag_id}")["is_paused"])

    def unpause(self, dag_id: str) -> None:
        """Lets the runs of a DAG go on."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        instead: Mapping[int, dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """One call, repeated while nobody answers; ``instead`` is what stands for answers of these codes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise AirflowError(f"Airflow on {self.url} does not answer ({error}).") from error
                time.sleep(1)
                continue
            if answer.is_success:
                return dict(answer.json())
            if instead and answer.status_code in instead:
                return instead[answer.status_code]
            if answer.is_server_error and time.monotonic() <= deadline:
                time.sleep(1)
                continue
            kind: type[NightshiftError] = SettingsError if answer.is_client_error else AirflowError
            raise kind(f"Airflow refused {method} {path} ({answer.status_code}): {answer.text[:500]}")
