"""The trials of a study: the defaults first, then what the sampler proposes. Killed at any moment, it goes on.

Optuna keeps the study in a database of its own below NIGHTSHIFT_HOME. A trial that was cut short is marked as failed,
and its settings are tried again; the sampler is seeded by the number of trials that are done, so that a study that was
interrupted tries what one that was not would have tried. A trial's values by user are written before it counts as done.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import torch
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from contracts.cli import log
from contracts.errors import InputError, ModelError, SettingsError
from contracts.files import write_atomically
from contracts.settings import Training
from models.cost import duration
from models.evaluation import GATE
from models.metrics import Doubles
from models.store import registry
from models.training import Report
from nightshift.tuning.space import Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = f"{registry.NAME}-tuning"
"""MLflow's experiment of the studies: a run each, with one below it for each trial."""
WATCHED = "encoder_validation"
"""The curve by which trials are pruned: NDCG@10 of the encoder after each pass, on the window before the judged one."""
STARTUP = 5
"""Trials that are never pruned; and, with the defaults, those that are drawn at random."""
KEPT: Mapping[Stage, float] = {"encoder": 50.0, "model": 75.0}
"""Percentage of the trials that is not pruned: of the whole model less is decided by its encoder."""
FAILURES = (ModelError, SettingsError, MemoryError, torch.OutOfMemoryError)
"""What a trial's own settings can bring about: it diverged, they do not fit the base model, or the memory."""
METRIC = GATE.replace("@", "_at_")
"""As MLflow can name it."""
RUN, RETRIED = "mlflow_run", "retried"
"""What is noted at a trial: its run in MLflow, and the number of the interrupted one that it repeats."""

Objective = Callable[[Training, Report], Doubles]
"""Fits with some settings, tells of the curves, and gives `GATE` of each judged user, [users]."""


@dataclass(frozen=True)
class Plan:
    """What a study is, and how far it goes now."""

    name: str
    folder: Path
    training: Training  # the defaults
    space: Mapping[str, BaseDistribution]
    stage: Stage
    trials: int  # in all, those of earlier starts among them
    minutes: float | None  # after which no trial is begun

    @property
    def defaults(self) -> dict[str, Any]:
        """The values from which the study starts."""
        values = registry.flat(self.training.model_dump())
        return {name: values[name] for name in self.space}

    def values_of(self, trial: FrozenTrial) -> Doubles:
        """What a complete trial was worth, by user, [users]; NaN where it says nothing of them."""
        values: Doubles = np.load(self._file(trial.number), allow_pickle=False)
        return values

    def keep(self, number: int, values: Doubles) -> None:
        """Writes what a trial was worth."""
        written = io.BytesIO()
        np.save(written, values, allow_pickle=False)
        write_atomically(self._file(number), written.getvalue())

    def _file(self, number: int) -> Path:
        return self.folder / f"trial-{number}.npy"


@contextmanager
def opened(plan: Plan) -> Iterator[optuna.Study]:
    """The study, new or as it was left, for this process alone.

    Raises:
        InputError: another process is at it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(plan.folder / ".lock", timeout=0):
            # the passes before a third of them tell fast learners from slow ones, not good from bad
            pruner = optuna.pruners.PercentilePruner(
                KEPT[plan.stage], STARTUP, n_warmup_steps=plan.training.encoder.epochs // 3, n_min_trials=3
            )
            study = optuna.create_study(
                study_name=plan.name,
                storage=f"sqlite:///{plan.folder / 'study.db'}",
                direction="maximize",
                pruner=pruner,
                load_if_exists=True,
            )
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(plan.defaults)
            yield study
    except Timeout as error:
        raise InputError(
            f"Study {plan.name} is running in another process: wait for it, or stop it. Each start goes on where the "
            "last one ended."
        ) from error


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that are done: complete, pruned, or failed by themselves; not those that were cut short."""
    trials = study.get_trials(deepcopy=False)
    retried = {each.user_attrs.get(RETRIED) for each in trials}
    return [each for each in trials if each.state.is_finished() and each.number not in retried]


def search(study: optuna.Study, plan: Plan, objective: Objective, mlflow: MlflowClient) -> None:
    """Runs the trials that are left.

    Raises:
        ModelError: already the defaults diverge.
        RegistryError: MLflow could not be reached.
    """
    begun = time.monotonic()
    parent = _parent(study, plan, mlflow)
    _retry_interrupted(study, mlflow)
    while (done := len(finished(study))) < plan.trials:
        # the defaults are tried in any case: without them there is nothing to tell
        if done and plan.minutes is not None and time.monotonic() - begun > 60 * plan.minutes:
            log.info("%d of %d trials are done after %.0f minutes.", done, plan.trials, plan.minutes)
            break
        study.sampler = optuna.samplers.TPESampler(seed=plan.training.seed + done, n_startup_trials=STARTUP)
        trial = study.ask(dict(plan.space))
        log.info("Trial %d, %d of %d: %s", trial.number, done + 1, plan.trials, told(trial.params))
        _run(study, trial, plan, objective, mlflow, parent)
    with registry.reached():
        mlflow.set_terminated(parent)


def _run(
    study: optuna.Study, trial: optuna.Trial, plan: Plan, objective: Objective, mlflow: MlflowClient, parent: str
) -> None:
    begun = time.monotonic()
    training = plan.training.having(trial.params)
    tags = {"mlflow.parentRunId": parent, "trial": str(trial.number)}
    run_id = registry.start_run(mlflow, f"trial {trial.number}", training, tags, EXPERIMENT)
    trial.set_user_attr(RUN, run_id)
    tracker = registry.Tracker(mlflow, run_id)

    def report(curve: str, step: int, value: float) -> None:
        tracker.report(curve, step, value)
        if curve == WATCHED:
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned

    try:
        values = objective(training, report)
    except optuna.TrialPruned:
        log.info("Trial %d: pruned after %s.", trial.number, duration(time.monotonic() - begun))
        tracker.end("KILLED")
        study.tell(trial, state=TrialState.PRUNED)
    except FAILURES as error:
        tracker.end("FAILED")
        if not finished(study):
            raise
        log.warning("Trial %d failed: %s", trial.number, error or type(error).__name__)
        study.tell(trial, state=TrialState.FAIL)
    else:
        value = float(np.nanmean(values))
        plan.keep(trial.number, values)
        tracker.report(METRIC, 0, value)
        tracker.end()
        study.tell(trial, value)
        best = study.best_trial
        log.info(
            "Trial %d: NDCG@10 %.4f in %s; the best is %.4f, of trial %d.",
            trial.number, value, duration(time.monotonic() - begun), study.best_value, best.number,
        )  # fmt: skip
        with registry.reached():
            for name, told_ in (("best_trial", best.number), ("best_run", best.user_attrs[RUN])):
                mlflow.set_tag(parent, name, told_)
            mlflow.log_metric(parent, f"best_{METRIC}", study.best_value, step=trial.number)


def _parent(study: optuna.Study, plan: Plan, mlflow: MlflowClient) -> str:
    """The study's own run in MLflow, running."""
    run_id = study.user_attrs.get(RUN)
    if run_id is None:
        run_id = registry.start_run(mlflow, plan.name, plan.training, {"stage": plan.stage}, EXPERIMENT)
        study.set_user_attr(RUN, run_id)
    with registry.reached():
        mlflow.update_run(run_id, status="RUNNING")
    return str(run_id)


def _retry_interrupted(study: optuna.Study, mlflow: MlflowClient) -> None:
    """Marks trials that were cut short as failed, and puts their settings at the front of the queue."""
    trials = study.get_trials(deepcopy=False)
    retried = {each.user_attrs.get(RETRIED) for each in trials}
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        log.info("Trial %d was cut short: its settings are tried again.", trial.number)
        # queued before it is marked: killed between the two, it is still seen as running, and not queued twice
        if trial.number not in retried:
            values = trial.system_attrs.get("fixed_params", {}) | trial.params
            study.enqueue_trial(values, user_attrs={RETRIED: trial.number})
        if run_id := trial.user_attrs.get(RUN):
            with registry.reached():
                mlflow.set_terminated(run_id, "FAILED")
        study.tell(trial.number, state=TrialState.FAIL)


def told(values: Mapping[str, Any]) -> str:
    """Settings and their values in a line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


def shown(value: object) -> str:
    """A value of a setting, for people."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
