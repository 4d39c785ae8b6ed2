"""What Spark's event log tells of scoring: how long its tasks read, ran Python, and wrote."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IN_PYTHON = "time to run Python workers"
"""Spark's metric, milliseconds."""


@dataclass(frozen=True)
class Tasks:
    """Seconds of tasks, each of which has a core to itself."""

    reading: float  # events read, shuffled and made into histories
    python: float  # the workers' whole work
    writing: float  # what else the tasks with workers do: they sort users, send them, and write lists
    longest: float  # of the tasks with workers
    median: float
    wall: float  # from the start of the first task with workers to the end of the last


def event_log(folder: Path) -> dict[str, str]:
    """Options of Spark with which each application leaves one file of its events in ``folder``."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


def read(folder: Path) -> Tasks:
    """The tasks of the one application whose log is in ``folder``."""
    [file] = (each for each in folder.iterdir() if not each.name.startswith("."))
    with file.open(encoding="utf-8") as lines:
        return of_events(map(json.loads, lines))


def of_events(events: Iterable[Mapping[str, Any]]) -> Tasks:
    """The tasks of an event log. A stage with workers is the one that scores; all others read."""
    ran: dict[int, float] = {}
    python: dict[int, float] = {}
    scoring: list[float] = []
    launched: list[int] = []
    finished: list[int] = []
    for event in events:
        if event["Event"] != "SparkListenerTaskEnd" or "Task Metrics" not in event:
            continue
        stage, seconds = event["Stage ID"], event["Task Metrics"]["Executor Run Time"] / 1000
        ran[stage] = ran.get(stage, 0.0) + seconds
        told = [each for each in event["Task Info"]["Accumulables"] if each.get("Name") == IN_PYTHON]
        if told:  # a task without users starts no worker
            python[stage] = python.get(stage, 0.0) + sum(int(each.get("Update") or 0) for each in told) / 1000
            scoring.append(seconds)
            launched.append(event["Task Info"]["Launch Time"])
            finished.append(event["Task Info"]["Finish Time"])
    in_python = sum(python.values())
    return Tasks(
        sum(seconds for stage, seconds in ran.items() if stage not in python),
        in_python,
        max(sum(ran[stage] for stage in python) - in_python, 0.0),
        max(scoring, default=0.0),
        statistics.median(scoring) if scoring else 0.0,
        (max(finished) - min(launched)) / 1000 if scoring else 0.0,
    )
