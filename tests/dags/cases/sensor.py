"""Lets a sensor look once, and prints what it makes of it. Run by test_waiting.py.

Arguments: the sensor, the kind of run, start and end of its data interval, its parameters as JSON, when it
has started, and, for each look of a sensor that looks several times, the earlier runs by their states, as JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import TaskDeferred

from wiring import waiting

if __name__ == "__main__":
    sensor, kind, start, end, params, started, *earlier = sys.argv[1:]
    looks = [
        {state: SimpleNamespace(run_id=run_id, run_type=run_id.split("__")[0]) for state, run_id in each.items()}
        for each in map(json.loads, earlier)
    ]
    context: Any = {
        "dag_run": SimpleNamespace(run_type=kind, start_date=datetime.fromisoformat(started)),
        "data_interval_start": datetime.fromisoformat(start),
        "data_interval_end": datetime.fromisoformat(end),
        "params": json.loads(params),
    }
    known: dict[str, Any] = {}
    for look in looks or [{}]:
        context["ti"] = SimpleNamespace(get_previous_dagrun=lambda state, look=look: look.get(state))
        try:
            getattr(waiting, sensor)(task_id="waits").look(context, None, **known)
            print("goes on")
        except TaskDeferred as deferred:
            known = deferred.kwargs or {}
            print(
                "waits" if isinstance(deferred.trigger, TimeDeltaTrigger) else f"waits until {deferred.trigger.until}"
            )
