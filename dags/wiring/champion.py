"""The way of a night after validation: score with the champion, fine-tune the first one, or stop."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

from airflow.sdk import get_current_context

from wiring.failures import JobLog
from wiring.run import day

log = logging.getLogger(__name__)

MODULE = "spark_jobs.champion"
TASK, KEY = "choose_model", "model_id"

MODEL = f"{{% set id = ti.xcom_pull(task_ids='{TASK}', key='{KEY}') %}}{{{{ '--model=' ~ id if id else '' }}}}"
"""Argument of the jobs that use the model: the one that the night chose, even if another is promoted meanwhile.

Nothing where the night had to fine-tune its first model: the jobs then ask for the champion themselves.
"""


def model_of(ds: str) -> str | None:
    """Id of the model that the night ``ds`` scores with; None when none was promoted yet."""
    done = subprocess.run([sys.executable, "-m", MODULE, "--ds", ds], capture_output=True, text=True, check=False)
    job_log = JobLog()
    for line in job_log.follow(done.stderr.splitlines()):
        log.info(line)
    if done.returncode:
        job_log.fail(log, MODULE, done.returncode)
    return done.stdout.strip() or None


def next_step(fine_tune: str, score: str) -> str | None:
    """Task that the running night continues with: ``score`` with a champion, ``fine_tune`` without.

    The champion's id goes to XCom, for `MODEL`. None stops here, because the run's parameters ask for it.
    """
    context: dict[str, Any] = dict(get_current_context())
    if context["params"]["ingest_only"]:
        return None
    if model_id := model_of(day(context["data_interval_start"])):
        log.info("This night scores with model %s.", model_id)
        context["ti"].xcom_push(key=KEY, value=model_id)
        return score
    return fine_tune
