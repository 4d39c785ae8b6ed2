"""Which settings of training a study varies, and between which values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from contracts.errors import SettingsError
from contracts.settings import Training
from models.store.registry import flat

Stage = Literal["model", "encoder"]
Group = Literal["encoder", "tower", "cooccurrence", "ranker"]

# Passes and batches of the encoder are not varied: early stopping chooses the passes, and trials are compared pass by
# pass, at the same place of the learning rate's fall.
SPACE: Mapping[Group, Mapping[str, BaseDistribution]] = {
    "encoder": {
        "encoder.learning_rate": FloatDistribution(5e-4, 8e-3, log=True),
        "encoder.dropout": FloatDistribution(0.1, 0.7),
        "encoder.id_dropout": FloatDistribution(0.0, 0.3),
        "encoder.refit": FloatDistribution(0.1, 1.0),
    },
    "tower": {
        "tower.tuning": CategoricalDistribution(("frozen", "lora", "full")),
        "tower.tuned_layers": IntDistribution(1, 3),
        "tower.steps": IntDistribution(30, 600, log=True),
        "tower.learning_rate": FloatDistribution(5e-5, 2e-3, log=True),
    },
    "cooccurrence": {
        "cooccurrence.half_life_days": FloatDistribution(30, 365, log=True),
        "cooccurrence.recent_half_life_days": FloatDistribution(4, 60, log=True),
        "cooccurrence.prior": FloatDistribution(2, 60, log=True),
    },
    "ranker": {
        "ranker.learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
        "ranker.dropout": FloatDistribution(0.0, 0.5),
        "ranker.epochs": IntDistribution(2, 12),
    },
}
"""Names below ``training``, by what they belong to."""


def space_of(training: Training, only: Collection[Group], stage: Stage) -> dict[str, BaseDistribution]:
    """What a study varies: the wanted groups, or all of those that can change what is measured.

    A setting of the shop's own that lies outside its range widens it: the study begins there.

    Raises:
        SettingsError: a wanted group changes nothing of what is measured.
    """
    idle: dict[Group, str] = {}
    if stage == "encoder":
        no_ranker = "--stage encoder measures the encoder's matches, without a ranker and its candidates"
        idle = {"cooccurrence": no_ranker, "ranker": no_ranker}
    for group in only:
        if group in idle:
            raise SettingsError(f"--only {group} would change nothing: {idle[group]}.")
    wanted = [group for group in SPACE if (group in only if only else group not in idle)]
    now = flat(training.model_dump())
    return {name: _holding(values, now[name]) for group in wanted for name, values in SPACE[group].items()}


def _holding(values: BaseDistribution, own: Any) -> BaseDistribution:
    """The same values with ``own`` among them."""
    if isinstance(values, CategoricalDistribution):
        return values if own in values.choices else CategoricalDistribution((*values.choices, own))
    assert isinstance(values, FloatDistribution | IntDistribution)
    low, high = min(values.low, own), max(values.high, own)
    return type(values)(low, high, log=values.log and low > 0)
