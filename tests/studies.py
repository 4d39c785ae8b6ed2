"""Studies whose trials are worth what a formula says: the same in a test and in a process that is killed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from contracts.settings import Settings, Training, load_settings
from models.metrics import Doubles
from models.store import registry
from models.training import Report
from nightshift.tuning.space import SPACE
from nightshift.tuning.study import WATCHED, Objective, Plan, opened, search

USERS = 40
LAST_PASS = 4


def settings_of(home: Path) -> Settings:
    """The full profile in a home of its own."""
    return load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "full"})


def plan_of(settings: Settings, trials: int) -> Plan:
    """A study of the encoder's settings; trials may be pruned after the first pass."""
    training = settings.training.having({"encoder.epochs": 1})
    return Plan("a-study", settings.home / "tuning", training, SPACE["encoder"], "encoder", trials, None)


def worth(training: Training, report: Report) -> Doubles:
    """Better with less dropout, by user; each pass tells as much."""
    value = 1 - training.encoder.dropout
    for step in range(1, LAST_PASS + 1):
        report(WATCHED, step, value * step / LAST_PASS)
    return value + np.linspace(-0.01, 0.01, USERS)


def start(home: Path, trials: int, objective: Objective = worth) -> None:
    """Starts the study, or goes on with it."""
    settings = settings_of(home)
    plan = plan_of(settings, trials)
    with opened(plan) as study:
        search(study, plan, objective, registry.client(settings))


def start_and_hang(home: str, hanging: int) -> None:
    """Starts the study; its trial with this number says so after its first pass, and never ends."""
    begun: list[Training] = []

    def objective(training: Training, report: Report) -> Doubles:
        begun.append(training)
        if len(begun) <= hanging:
            return worth(training, report)
        report(WATCHED, 1, 0.5)
        print("hanging", flush=True)
        time.sleep(600)
        raise AssertionError("nobody killed it")

    start(Path(home), hanging + 10, objective)
