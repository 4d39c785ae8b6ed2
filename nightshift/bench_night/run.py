"""A benchmark from what was asked for to its figures: the shop, its history, a model, and one night of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow.dataset as pads

from contracts import lake
from contracts.cli import NoArguments, log, start_log
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.files import write_atomically
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from contracts.tables import RECOMMENDATIONS
from nightshift.bench_night import parts, steps, tasks
from nightshift.bench_night.shop import NIGHT, Size, days, write, write_day_after
from nightshift.bench_night.steps import Taken
from nightshift.bench_night.tasks import Tasks
from nightshift.lookups.incremental import Compared, compared
from nightshift.runtime import setup_mlflow
from nightshift.runtime.environment import environment
from nightshift.runtime.home import prepare_spark

USERS_A_SLICE = 5_000
"""Users of a task that scores: tasks are as large in a large shop as in a small one."""

EXECUTORS = (1, 2)
"""Executors of a core each, by which everyone is scored again."""

EXECUTOR_MEGABYTES = 2048
"""Memory of an executor's Java."""

IDLE_NIGHTS = 28
"""In the night after, an idle user has a turn once in so many nights."""

HOW_TRAINED = (
    "The model was trained as cheaply as it goes: no text tuned, one pass over 5,000 users. Its networks are as large "
    "as always, and that decides how long a night takes."
)

SETTINGS = """
profile = "full"
[airflow]
scheduled = false
[spark]
master = "{master}"
shuffle_partitions = {slices}
driver_memory = "{driver_memory}"
executor_cores = 1
executor_memory = "{megabytes}m"
[splits]
window_days = 7
[training]
users = 5000
[training.tower]
tuning = "frozen"
[training.encoder]
epochs = 1
min_steps = 0
refit = 0.0
[training.ranker]
windows = 2
epochs = 1
min_steps = 0
"""
"""Of the shop's home. What a night takes is as of the full profile; only training is cut short."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    sizes: tuple[Size, ...]
    master: str
    driver_memory: str
    as_json: Path | None
    executors: bool = False  # score again by so many executors as EXECUTORS has
    changed: float | None = None  # run the night after too, in which this share of the users did something


@dataclass(frozen=True)
class Again:
    """Everyone scored once more by some executors."""

    executors: int
    taken: Taken
    scoring: Tasks


@dataclass(frozen=True)
class Night:
    """One shop and its night."""

    size: Size
    users: int  # with a list
    steps: list[Taken]
    scoring: Tasks
    parts: dict[str, float]  # milliseconds of a user on one core
    again: Sequence[Again] = ()
    after: Compared | None = None  # the night after, in full and with lists carried over

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds for step in self.steps)

    @property
    def scoring_parts(self) -> dict[str, float]:
        """Seconds of cores in `score_users`: the parts of all users, and what else the workers' Python ran."""
        python = self.scoring.python
        of_users = {name: self.users * each / 1000 for name, each in self.parts.items()}
        # the parts are measured in another process: they can come out larger than what they are parts of
        share = min(1.0, python / sum(of_users.values()))
        inside = {name: each * share for name, each in of_users.items()}
        starting = python - sum(inside.values())
        return {
            "reading": self.scoring.reading,
            "starting Python": starting,
            **inside,
            "sending, writing": self.scoring.writing,
        }


def run(wanted: Wanted) -> list[Night]:
    """Makes each shop and runs its night, one after the other in the same home.

    Raises:
        RunError: a step failed.
        SettingsError: Spark cannot be prepared.
    """
    start_log()
    outer = load_settings()
    nights = [of_shop(own_home(outer, wanted, size), size, wanted) for size in wanted.sizes]
    if wanted.as_json:
        write_atomically(wanted.as_json, json.dumps([asdict(each) for each in nights], indent=1, default=str) + "\n")
    return nights


def own_home(outer: Settings, wanted: Wanted, size: Size) -> Settings:
    """The home of the shop, below the outer one: empty but for Spark's jars."""
    home = outer.home / "bench-night"
    for each in home.glob("*"):
        if each.name != "spark":
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    home.mkdir(parents=True, exist_ok=True)
    slices = max(size.users // USERS_A_SLICE, 2 * (os.cpu_count() or 1))
    told = SETTINGS.format(
        master=wanted.master, slices=slices, driver_memory=wanted.driver_memory, megabytes=EXECUTOR_MEGABYTES
    )
    write_atomically(home / "nightshift.toml", told)
    # make runs this with the outer home's environment
    for name, value in environment(outer, {}).items():
        if os.environ.get(name) == value:
            del os.environ[name]
    os.environ["NIGHTSHIFT_HOME"] = str(home)
    own = load_settings()
    prepare_spark(own)
    setup_mlflow.run(own, NoArguments())
    os.environ.update(environment(own, os.environ))
    return own


def of_shop(settings: Settings, size: Size, wanted: Wanted) -> Night:
    """Makes the shop, takes in its history, trains, and runs the night; then what else was asked for."""
    begun = time.monotonic()
    log.info("Logs of %s users, %s items, %s events …", *(f"{each:,}" for each in asdict(size).values()))
    write(settings.landing, size)
    log.info("Logs: %.1f s", time.monotonic() - begun)
    ds = Interval.of_night(NIGHT)
    before = Interval(days().start, ds.start)
    [trained] = taken(settings, [*steps.intake(before), *steps.training(before)])[-1:]
    model = str(trained.result["model_id"])
    steps.run(settings, steps.embedding(Interval.of_night(before.ds), model))  # as `evaluate` does
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        of_night = taken(settings, steps.night(ds, model, Path(scratch)))
        scoring = tasks.read(Path(scratch))
    users = lake.count(settings, RECOMMENDATIONS, (pads.field(C.DS) == NIGHT) & is_own(pads.field))
    again = [scored_by(settings, ds, model, number) for number in (EXECUTORS if wanted.executors else ())]
    log.info("Parts of scoring, of some users in this process …")
    of_users = parts.of_users(settings, model, ds)
    after = night_after(settings, size, model, wanted.changed) if wanted.changed else None
    return Night(size, users, of_night, scoring, of_users, again, after)


def night_after(settings: Settings, size: Size, model: str, changed: float) -> Compared:
    """Runs the night in which a share of the users did something, and scores it in full and with lists carried over."""
    ds = Interval.of_night(NIGHT + timedelta(days=1))
    write_day_after(settings.landing, size, changed)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        taken(settings, steps.night(ds, model, Path(scratch)))
    log.info("That night in full, and with lists carried over …")
    return compared(settings, ds.ds, idle_days=1, idle_nights=IDLE_NIGHTS)


def scored_by(settings: Settings, ds: Interval, model: str, executors: int) -> Again:
    """Scores everyone of a night by executors of a core each, which are processes of this machine."""
    master = f"local-cluster[{executors},1,{EXECUTOR_MEGABYTES}]"
    spark = settings.spark.model_copy(update={"master": master})
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch, only_cores(executors):
        step = steps.scoring(ds, model, Path(scratch))
        took = steps.run(settings.model_copy(update={"spark": spark}), step)
        return Again(executors, took, tasks.read(Path(scratch)))


@contextmanager
def only_cores(number: int) -> Iterator[None]:
    """What is started meanwhile has so many cores; else the executor's Java and Python would share out all of them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def taken(settings: Settings, wanted: Sequence[steps.Step]) -> list[Taken]:
    """Runs steps one after the other."""
    return [steps.run(settings, step) for step in wanted]
