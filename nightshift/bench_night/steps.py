"""The steps of a night, started as the DAG starts them but without Airflow; what each takes is watched meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from contracts.cli import RESULT_FILE, log, read_result
from contracts.interval import Interval
from contracts.settings import PROJECT, Settings
from nightshift.bench_night.tasks import event_log
from nightshift.runtime.commands import Messages, log_file
from nightshift.runtime.environment import environment
from nightshift.runtime.services import family, stop
from spark_jobs.cluster.environment import spark_defaults

RUN_ID = ("--run-id", "bench-night")
LOOK_SECONDS = 0.5
"""So often the memory is looked at, which takes some hundredths of a core: a peak between two looks is not seen."""

DRIVER, DRIVER_PYTHON, EXECUTORS, WORKERS = "driver's Java", "driver's Python", "executors' Java", "workers' Python"
KINDS = (DRIVER, DRIVER_PYTHON, EXECUTORS, WORKERS)
"""Kinds of processes. With a master `local` there are no executors: the driver's Java is all of Spark's."""


@dataclass(frozen=True)
class Step:
    """A step with its arguments."""

    name: str
    arguments: tuple[str, ...]
    spark: bool = True
    options: tuple[str, ...] = ()  # of spark-submit

    def command(self, settings: Settings) -> list[str]:
        """As the operators of the DAG have it."""
        if not self.spark:
            module = self.name if "." in self.name else f"spark_jobs.{self.name}"
            return [sys.executable, "-m", module, *self.arguments]
        job = str(PROJECT / "spark_jobs" / f"{self.name}.py")
        submit = ["spark-submit", "--master", settings.spark.master, "--properties-file", str(spark_defaults(settings))]
        return [*submit, *self.options, job, *self.arguments]


@dataclass(frozen=True)
class Taken:
    """What a step took."""

    name: str
    seconds: float
    peaks: dict[str, int]  # bytes of each of KINDS that there was, all of its processes together
    result: dict[str, Any] = field(default_factory=dict)  # what it gave


def intake(days: Interval) -> list[Step]:
    """What takes in the logs of some days."""
    span = ("--start", str(days.start), "--end", str(days.end))
    return [
        Step("land_events", (*span, *RUN_ID), spark=False),
        Step("clean_events", span),
        Step("validate", (*span, *RUN_ID)),
    ]


def training(days: Interval) -> list[Step]:
    """What makes a model as of the end of some days; the last one gives its id."""
    as_of = ("--as-of", str(days.end))
    return [Step("build_splits", as_of), Step("models.fine_tune", as_of, spark=False)]


def embedding(ds: Interval, model: str) -> Step:
    """What gives the items of a night their vectors of a model."""
    return Step("embed_items", ("--ds", str(ds.start), *RUN_ID, "--model", model))


def scoring(ds: Interval, model: str, tasks: Path) -> Step:
    """What scores everyone of a night; what Spark did is told in the folder ``tasks``."""
    kept = [word for name, value in event_log(tasks).items() for word in ("--conf", f"{name}={value}")]
    return Step("score_users", ("--ds", str(ds.start), *RUN_ID, "--model", model), options=tuple(kept))


def night(ds: Interval, model: str, tasks: Path) -> list[Step]:
    """The steps of a night in the order of the DAG; what Spark did in `score_users` is told in the folder ``tasks``."""
    told, use = ("--ds", str(ds.start), *RUN_ID), ("--model", model)
    return [
        *intake(ds),
        Step("measure_drift", (*told, *use), spark=False),
        embedding(ds, model),
        scoring(ds, model, tasks),
        Step("publish", told),
        Step("report", told, spark=False),
    ]


def run(settings: Settings, step: Step) -> Taken:
    """Runs a step to its end.

    Raises:
        RunError: it failed; the message carries its error line and the path of its log.
    """
    log.info("%s …", step.name)
    written, result = log_file(settings, f"bench-night-{step.name}"), settings.home / f"{step.name}.json"
    result.unlink(missing_ok=True)
    # as the operators: else the script's folder comes first on sys.path
    variables = {"PYTHONSAFEPATH": "1", RESULT_FILE: str(result)} if step.spark else {RESULT_FILE: str(result)}
    peaks: dict[str, int] = {}
    begun = time.monotonic()
    with written.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            step.command(settings),
            cwd=PROJECT,
            env=environment(settings, os.environ) | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while is_running(process):
                peaks = highest(peaks, memory(process.pid))
        finally:
            if process.poll() is None:
                stop([process.pid])
    seconds = time.monotonic() - begun
    if process.returncode:
        messages = Messages()
        messages.follow(written.read_text(encoding="utf-8", errors="replace").splitlines(), step.name)
        raise messages.failure(step.name, written)
    log.info("%s: %.1f s", step.name, seconds)
    return Taken(step.name, seconds, peaks, read_result(result))


def is_running(process: subprocess.Popen[bytes]) -> bool:
    """Waits for the next look; false as soon as the process has ended."""
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def memory(pid: int) -> dict[str, int]:
    """Resident bytes of a process and of all that it has started, by kind; what forks share counts in each of them."""
    found: dict[str, int] = {}
    for process in family(pid):
        with suppress(psutil.Error):
            kind = kind_of(process.cmdline())
            found[kind] = found.get(kind, 0) + process.memory_info().rss
    return found


def kind_of(command: list[str]) -> str:
    """Which of KINDS a process is, by its command line."""
    words = " ".join(command)
    if "pyspark.daemon" in words or "pyspark.worker" in words:
        return WORKERS
    if Path(command[0] if command else "").name == "java":
        return EXECUTORS if "CoarseGrainedExecutorBackend" in words else DRIVER
    return DRIVER_PYTHON


def highest(peaks: Mapping[str, int], seen: Mapping[str, int]) -> dict[str, int]:
    """The larger one of each kind."""
    return {kind: max(peaks.get(kind, 0), seen.get(kind, 0)) for kind in {**peaks, **seen}}
