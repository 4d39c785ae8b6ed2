"""The way of a night after validation: score, fine-tune first, or stop."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

from airflow.sdk import get_current_context

from spark_jobs.contracts.errors import ERROR_PREFIX, ModelError
from wiring.failures import JobLog

log = logging.getLogger(__name__)

MODULE = "spark_jobs.champion"


def has_champion() -> bool:
    """Whether a model was promoted yet."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    job_log = JobLog()
    for line in job_log.follow(done.stdout.splitlines()):
        log.info(line)
    if done.returncode not in (0, ModelError.exit_code):
        job_log.fail(log, MODULE, done.returncode)
    return done.returncode == 0


def next_step(fine_tune: str, score: str) -> str | None:
    """Task that the running night continues with: ``score`` with a champion, ``fine_tune`` without.

    None stops here, because the run's parameters ask for it.
    """
    context: dict[str, Any] = dict(get_current_context())
    if context["params"]["ingest_only"]:
        return None
    if has_champion():
        return score
    if context["dag_run"].triggering_user_name == "dag_test":
        # `airflow dags test` has no scheduler: a run that it triggers would never start
        as_of = context["data_interval_end"].date()
        log.error(
            "%s There is no champion model yet. Fine-tune one with `make model AS_OF=%s`, then run this night again.",
            ERROR_PREFIX,
            as_of,
        )
        raise SystemExit(ModelError.exit_code)
    return fine_tune
