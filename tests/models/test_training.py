"""Every training loop: the learning rate, early stopping, and what happens when a loss is no number."""

from __future__ import annotations

import math

import pytest
import torch

from contracts.errors import ModelError
from models.training import EarlyStopping, descend, linear_schedule


def stopping(weight: torch.Tensor, patience: int = 2) -> EarlyStopping:
    return EarlyStopping("tower", {"weight": weight}, patience, lambda *_: None)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    schedule = linear_schedule(optimiser, 10, warm_up=2)
    rates = []
    for _ in range(10):
        rates.append(optimiser.param_groups[0]["lr"])
        descend(optimiser, schedule)
    assert rates[:3] == [0.5, 0.9, 0.8]
    assert optimiser.param_groups[0]["lr"] == 0


def test_the_best_weights_come_back_and_patience_ends_training() -> None:
    weight = torch.zeros(1)
    watch = stopping(weight)
    told = []
    for step, metric in enumerate([0.1, 0.3, 0.2, 0.3]):
        weight.fill_(float(step))
        told.append(watch.stops_at(step, metric))
    assert told == [False, False, False, True]
    watch.restore()
    assert weight.item() == 1


@pytest.mark.parametrize(("metric", "loss"), [(math.nan, 0.5), (0.9, math.nan), (0.9, math.inf)])
def test_weights_that_diverged_are_never_kept(metric: float, loss: float) -> None:
    weight = torch.ones(1)
    watch = stopping(weight)
    assert not watch.stops_at(1, 0.2, 0.7)
    weight.fill_(math.nan)
    assert watch.stops_at(2, metric, loss)
    watch.restore()
    assert weight.item() == 1


def test_training_that_diverged_at_once_says_what_to_do() -> None:
    watch = stopping(torch.ones(1))
    assert watch.stops_at(0, math.nan)
    with pytest.raises(ModelError, match=r"Training of the tower diverged .* Lower its learning_rate"):
        watch.restore()
