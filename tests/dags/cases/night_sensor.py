"""Lets the sensor of the weekly model look once, and prints what it makes of it. Run by test_waiting.py.

Arguments: the kind of run, the end of its data interval, and its parameter `as_of`, or nothing.
"""

from __future__ import annotations

import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from wiring.waiting import NightSensor

if __name__ == "__main__":
    kind, end, as_of = sys.argv[1:]
    context: Any = {
        "dag_run": SimpleNamespace(run_type=kind),
        "data_interval_end": datetime.fromisoformat(end),
        "params": {"as_of": as_of or None},
    }
    try:
        NightSensor(task_id="wait_for_night").look(context)
        print("goes on")
    except TaskDeferred as deferred:
        print(f"waits until {deferred.trigger.until}")
