"""The tower's tuning: each setting changes what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contracts.settings import Tower, Training
from models.devices import seed_everything
from models.item_tower import ItemTower, first_tuned, with_adapters
from models.tower_tuning import TextPairs, tune
from tests.bases import TEXTS, base_model

PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))
OWN: Mapping[str, object] = {"tuned_layers": 2, "steps": 8, "batch": 2, "learning_rate": 1e-2, "lora_rank": 4}


@dataclass(frozen=True)
class Run:
    """What a tuning did."""

    losses: list[float]
    weights: dict[str, Tensor]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.losses == other.losses and self.has_weights_of(other)

    def has_weights_of(self, other: Run) -> bool:
        return all(torch.equal(weight, other.weights[name]) for name, weight in self.weights.items())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("base"), "bert")


def run(base: Path, **changes: object) -> Run:
    """Tunes the tower with other settings of `[training.tower]`; its last weights count as the best."""
    own = Tower.model_validate({**OWN, **changes})
    seed_everything(3)
    tower = ItemTower.load(base, 16, own.pooling)
    _, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, own))
    tower = with_adapters(tower, own)
    losses: list[float] = []

    def report(curve: str, _: int, value: float) -> None:
        if curve == "tower_loss":
            losses.append(value)

    tune(tower, texts, PAIRS, Training(tower=own), lambda: float(len(losses)), report)
    return Run(losses, {name: weight.detach() for name, weight in tower.named_parameters() if weight.requires_grad})


def test_the_same_settings_give_the_same_weights(base: Path) -> None:
    assert run(base) == run(base)


@pytest.mark.parametrize(
    "descent",
    [
        {"optimiser": "sgd"},
        {"schedule": "cosine"},
        {"schedule": "constant"},
        {"warm_up": 0.5},
        {"weight_decay": 0.5},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_each_rule_of_descent_gives_other_weights(base: Path, descent: dict[str, object]) -> None:
    plain, other = run(base), run(base, descent=descent)
    assert len(other.losses) == 8
    assert all(np.isfinite(other.losses))
    assert not other.has_weights_of(plain)
    assert {weight.dtype for weight in other.weights.values()} == {torch.float32}


@pytest.mark.parametrize("averaging", ["swa", "ema"])
def test_averaging_changes_the_weights_that_are_kept_and_no_step(base: Path, averaging: str) -> None:
    plain, other = run(base), run(base, descent={"averaging": averaging, "averaged": 0.5})
    assert other.losses == plain.losses
    assert not other.has_weights_of(plain)


def test_the_weight_decay_of_all_training_holds_unless_the_tower_has_its_own(base: Path) -> None:
    assert run(base, descent={"weight_decay": Training().weight_decay}) == run(base)
