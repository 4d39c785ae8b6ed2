"""Lets a sensor look once, and prints what it makes of it. Run by test_waiting.py.

Arguments: the sensor, the kind of run, start and end of its data interval, and its parameter `as_of`, or nothing.
"""

from __future__ import annotations

import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from wiring import waiting

if __name__ == "__main__":
    sensor, kind, start, end, as_of = sys.argv[1:]
    context: Any = {
        "dag_run": SimpleNamespace(run_type=kind),
        "data_interval_start": datetime.fromisoformat(start),
        "data_interval_end": datetime.fromisoformat(end),
        "params": {"as_of": as_of or None, "allow_empty": False},
    }
    try:
        getattr(waiting, sensor)(task_id="waits").look(context)
        print("goes on")
    except TaskDeferred as deferred:
        print(f"waits until {deferred.trigger.until}")
