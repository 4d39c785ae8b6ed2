"""What came of a study: its best trial against the defaults, what mattered, and lines for ``nightshift.toml``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from nightshift.bench_model.results import Gain, gain_of
from nightshift.tuning.study import Plan, finished, shown

ENOUGH = 10
"""Complete trials from which it is said what mattered."""


@dataclass(frozen=True)
class Tried:
    """A trial that is done."""

    number: int
    values: Mapping[str, Any]  # of the settings
    state: str  # complete, pruned, failed
    ndcg: float | None  # None where it is not complete
    curve: Mapping[int, float]  # of the encoder after each pass, on the window before


@dataclass(frozen=True)
class Found:
    """A study so far."""

    study: str
    case: str
    users: int
    defaults: Tried
    best: Tried
    gain: Gain | None  # of the best over the defaults; None where these are the best
    importance: Mapping[str, float] | None  # share of each setting (PED-ANOVA); None after too few trials
    trials: list[Tried]

    @property
    def verdict(self) -> str:
        """Whether something beats the defaults."""
        if self.gain is None:
            return "Nothing that was tried beats the defaults."
        if self.gain.low <= 0:
            return "Nothing that was tried beats the defaults: the interval of the best one's gain holds 0."
        return (
            f"Trial {self.best.number} beats the defaults on the users that it was chosen on, which flatters it: "
            "measure it on the test window (nightshift bench-model) before you keep it."
        )

    def lines(self) -> str:
        """For ``nightshift.toml``: the best settings, and in comments what they were worth."""
        gained = "" if self.gain is None else f", {self.gain} over the defaults"
        told = [
            f"Study {self.study}: {len(self.trials)} trials, the best is trial {self.best.number}.",
            f"NDCG@10 of {self.users:,} users, {self.case}: {self.best.ndcg:.4f}{gained}.",
            self.verdict,
        ]
        if self.importance:
            mattered = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            told.append(f"What mattered: {mattered}.")
        lines = [f"# {line}" for line in told]
        for section, names in groupby(self.best.values, lambda name: name.rpartition(".")[0]):
            lines += ["", f"[training.{section}]"]
            lines += [f"{name.rpartition('.')[2]} = {json.dumps(self.best.values[name])}" for name in names]
        return "\n".join(lines) + "\n"


def found(study: optuna.Study, plan: Plan, case: str) -> Found:
    """What came of the trials that are done."""
    done = finished(study)
    trials = {
        each.number: Tried(each.number, each.params, _state(each.state), each.value, each.intermediate_values)
        for each in done
    }
    # the defaults are queued first, and a trial that was cut short is done before the next one
    first, best = done[0], study.best_trial
    ours, theirs = plan.values_of(best), plan.values_of(first)
    complete = [each for each in done if each.state == TrialState.COMPLETE]
    return Found(
        plan.name,
        case,
        int((~np.isnan(ours)).sum()),
        trials[first.number],
        trials[best.number],
        None if best.number == first.number else gain_of(ours, theirs),
        _importance(study) if len(complete) >= ENOUGH else None,
        list(trials.values()),
    )


def _state(state: TrialState) -> str:
    return {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(state, "failed")


def _importance(study: optuna.Study) -> dict[str, float]:
    """How much of what tells the best trials from the others lies in each setting (Watanabe et al., 2023)."""
    return {name: float(share) for name, share in optuna.importance.get_param_importances(study).items()}


def rows(told: Found) -> list[tuple[str, str, str, str]]:
    """Each setting: its name, default, best value, and how much it mattered."""
    defaults, best, share = told.defaults.values, told.best.values, told.importance or {}
    return [
        (name, shown(defaults[name]), shown(best[name]), f"{share[name]:.0%}" if name in share else "") for name in best
    ]
