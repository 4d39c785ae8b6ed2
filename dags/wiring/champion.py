"""The way of a night after validation: score with the champion, fine-tune the first one, or stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import get_current_context

from wiring.jobs import answer_of
from wiring.run import day

log = logging.getLogger(__name__)

MODULE = "spark_jobs.champion"
TASK, EMBED, KEY = "choose_model", "embed_items", "model_id"

MODEL = (
    f"{{% set id = ti.xcom_pull(task_ids='{TASK}', key='{KEY}') or ti.xcom_pull(task_ids='{EMBED}', key='{KEY}') %}}"
    "{{ '--model=' ~ id if id else '' }}"
)
"""Argument of the jobs that use the model: the one that the night chose, even if another is promoted meanwhile.

Where the night had to fine-tune its first model, `choose_model` has chosen none: then `embed_items` asks for the model
of the night by itself, and scoring takes what it has embedded with.
"""


def next_step(fine_tune: str, score: Sequence[str]) -> str | list[str] | None:
    """Tasks that the running night continues with: ``score`` with a champion, ``fine_tune`` without.

    The champion's id goes to XCom, for `MODEL`. None stops here, because the run's parameters ask for it.
    """
    context: dict[str, Any] = dict(get_current_context())
    if context["params"]["ingest_only"]:
        return None
    if model_id := answer_of(log, MODULE, "--ds", day(context["data_interval_start"])):
        log.info("This night scores with model %s.", model_id)
        context["ti"].xcom_push(key=KEY, value=model_id)
        return list(score)
    return fine_tune
