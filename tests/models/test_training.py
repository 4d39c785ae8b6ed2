"""Every training loop: the learning rate, early stopping, and what happens when a loss is no number."""

from __future__ import annotations

import math

import pytest
import torch

from contracts.errors import ModelError
from contracts.settings import Descent
from models.devices import autocast
from models.training import Averaging, EarlyStopping, Shape, descend, linear_schedule, optimiser_of, schedule_of


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


@pytest.mark.parametrize(
    ("shape", "rates"),
    [("linear", [0.5, 0.75, 0.5, 0.25, 0]), ("cosine", [0.5, 0.854, 0.5, 0.146, 0]), ("constant", [0.5, 1, 1, 1, 1])],
)
def test_the_learning_rate_falls_by_its_shape_after_the_warm_up(shape: Shape, rates: list[float]) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = schedule_of(optimiser, shape, 4, warm_up=2)
    found = []
    for _ in range(5):
        found.append(optimiser.param_groups[0]["lr"])
        descend(optimiser, schedule)
    assert found == pytest.approx(rates, abs=1e-3)


def test_the_settings_choose_the_rule_of_descent() -> None:
    weights = [torch.nn.Parameter(torch.ones(1))]
    adamw = optimiser_of(weights, Descent(), 0.1, 0.01)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.defaults["weight_decay"] == 0.01
    sgd = optimiser_of(weights, Descent(optimiser="sgd", momentum=0.5, weight_decay=0.0), 0.1, 0.01)
    for _ in range(2):
        weights[0].grad = torch.ones(1)
        sgd.step()
    # moves of 0.1, then of 0.1 and half of the last; no decay
    assert weights[0].item() == pytest.approx(1 - 0.1 - 0.15)


@pytest.mark.parametrize(
    ("averaging", "expected"), [("none", 5.0), ("swa", 4.0), ("ema", 3 + 0.5 * 0.5 * (4 - 3) + 0.5 * (5 - 3))]
)
def test_the_last_weights_are_averaged_and_the_live_ones_come_back(averaging: str, expected: float) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    settings = Descent.model_validate({"averaging": averaging, "averaged": 0.6, "ema_decay": 0.5})
    mean = Averaging([weight], settings, 5)
    for step in range(1, 6):
        with mean.in_place():
            assert step > 3 or weight.item() == step - 1  # of steps 3, 4 and 5
        weight.data.fill_(float(step))
        mean.take(step)
    with mean.in_place():
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 5


def test_precision_is_chosen_or_left_to_the_device() -> None:
    cpu, ones = torch.device("cpu"), torch.ones(2, 2)
    with autocast(cpu):
        assert (ones @ ones).dtype == torch.float32
    with autocast(cpu, "bfloat16"):
        assert (ones @ ones).dtype == torch.bfloat16
    with autocast(cpu, "float32"):
        assert (ones @ ones).dtype == torch.float32


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
