"""Calls the callbacks of tasks, one after the other. Run by test_callbacks.py.

Arguments: calls, as JSON. ``call`` is a function of wiring.alerts, ``dag``, ``run`` and ``task`` say for which task,
``line`` is the last one of its job, if it had one; ``started`` when (now), ``waited_for`` which run of fine-tuning it
waited for; ``busy``: meanwhile another task is sending.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

from filelock import FileLock

from contracts.errors import InputError
from contracts.notices import Notice
from contracts.settings import load_settings
from nightshift.runtime.commands import lock_file
from wiring import alerts
from wiring.failures import JobExit

vars(alerts)["TURN_SECONDS"] = 0.2


def context_of(call: dict[str, Any]) -> dict[str, Any]:
    """The context of a task of the night 2017-12-24."""
    now = datetime.now(UTC)
    started = datetime.fromtimestamp(call.get("started", now.timestamp()), UTC)
    task = SimpleNamespace(trigger_run_id=call.get("waited_for"), trigger_dag_id="fine_tune_model")
    ti = SimpleNamespace(task_id=call["task"], dag_id=call["dag"], start_date=started, task=task)
    return {
        "ti": ti,
        "dag": SimpleNamespace(dag_id=call["dag"]),
        "run_id": call["run"],
        "dag_run": SimpleNamespace(logical_date=None, run_after=now),
        "data_interval_end": datetime(2017, 12, 25, tzinfo=UTC),
        "params": {},
        "exception": JobExit(InputError.exit_code, call["line"]) if "line" in call else None,
    }


if __name__ == "__main__":
    for call in map(json.loads, sys.argv[1:]):
        notice = (
            [Notice("late", date(2017, 12, 24), "No log yet.", "Ask the shop.")] if call["call"] == "announce" else []
        )
        busy = FileLock(lock_file(load_settings(), "alerts")) if call.get("busy") else nullcontext()
        with busy:
            getattr(alerts, call["call"])(context_of(call), *notice)
