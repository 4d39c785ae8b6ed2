"""Steps of a night as programs of their own, as the operators start them, and what a whole night must leave."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from typing import Any

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import FALLBACK_USER
from contracts.interval import Interval
from contracts.settings import PROJECT, Settings
from contracts.states import PUBLISHED, newest
from contracts.tables import EVENTS, PUBLICATIONS, RECOMMENDATIONS
from nightshift.runtime.environment import environment
from spark_jobs.cluster.environment import spark_defaults


def run(settings: Settings, *command: str) -> str:
    """Runs a program in the project's environment, as the operators do, and gives what it printed."""
    environ = environment(settings, os.environ) | {"PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def submit(settings: Settings, job: str, *arguments: str) -> None:
    """Runs a step by spark-submit, on the master of the settings."""
    told = ("--master", settings.spark.master, "--properties-file", str(spark_defaults(settings)))
    script = str(PROJECT / "spark_jobs" / f"{job}.py")
    run(settings, "spark-submit", *told, "--name", f"nightshift {job}", script, *arguments)


def from_cleaned_to_published(settings: Settings, days: Interval) -> None:
    """All steps of the last one of some cleaned days, with a model that is trained on the way."""
    submit(settings, "validate", "--start", str(days.start), "--end", str(days.end))
    submit(settings, "build_splits", "--as-of", str(days.end))
    run(settings, sys.executable, "-m", "models.fine_tune", "--as-of", str(days.end))
    submit(settings, "evaluate", "--as-of", str(days.end))
    for job in ("embed_items", "score_users", "publish"):
        submit(settings, job, "--ds", str(days.ds))


def lists_of_everyone(settings: Settings, night: date) -> list[dict[str, Any]]:
    """The lists of a night, which is published and has one for everyone."""
    publication = newest(lake.rows(settings, PUBLICATIONS, {C.DS: night}))
    assert publication
    assert publication[C.STATUS] == PUBLISHED
    users = lake.arrow(settings, EVENTS, [C.USER_ID])[C.USER_ID].unique().to_pylist()
    lists = lake.rows(settings, RECOMMENDATIONS, {C.DS: night})
    assert sorted(row[C.USER_ID] for row in lists) == sorted([FALLBACK_USER, *users])
    return lists
