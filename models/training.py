"""What training loops need: a rule of descent, a learning rate over steps, the mean of weights, early stopping, and
somebody to report to.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from contracts.errors import ModelError
from contracts.settings import Descent

log = logging.getLogger("nightshift")

Report = Callable[[str, int, float], None]
"""Told (curve, step, value) of losses and metrics."""


Shape = Literal["linear", "cosine", "constant"]


def schedule_of(
    optimiser: torch.optim.Optimizer, shape: Shape, steps: int, warm_up: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """A learning rate that rises over ``warm_up`` steps, and falls by a shape to zero at ``steps``, or stays.

    The cosine is that of Loshchilov and Hutter (2017), without restarts.
    """

    def falling(step: int) -> float:
        if shape == "constant":
            return 1.0
        left = max(0.0, 1 - step / steps)
        return left if shape == "linear" else (1 - math.cos(math.pi * left)) / 2

    def factor(step: int) -> float:
        return min((step + 1) / warm_up, falling(step)) if warm_up else falling(step)

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def linear_schedule(
    optimiser: torch.optim.Optimizer, steps: int, warm_up: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """A learning rate that rises over ``warm_up`` steps and falls linearly to zero at ``steps``."""
    return schedule_of(optimiser, "linear", steps, warm_up)


def optimiser_of(
    weights: Iterable[Tensor], settings: Descent, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW, or gradient descent with momentum; ``weight_decay`` holds where the settings name none."""
    decay = weight_decay if settings.weight_decay is None else settings.weight_decay
    if settings.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=learning_rate, momentum=settings.momentum, weight_decay=decay)
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=decay)


def descend(optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
    """One step down the gradient that was gathered, its norm at most 1; then the next learning rate."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    schedule.step()


class Averaging:
    """The mean of weights over the last of their steps.

    Of all alike (SWA: Izmailov et al., 2018), or weighing older steps less (EMA, as Tarvainen and Valpola, 2017).
    """

    def __init__(self, weights: Iterable[nn.Parameter], settings: Descent, steps: int) -> None:
        """Watches ``weights``, live ones of a model that is trained for ``steps``."""
        self._weights = nn.ParameterList(weights)
        self._rule = (
            get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            if settings.averaging == "ema"
            else get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]
        )
        begins = steps - max(1, round(settings.averaged * steps))
        self._begins = math.inf if settings.averaging == "none" else begins
        self._mean: AveragedModel | None = None  # a copy of the weights, made when it is needed

    def take(self, step: int) -> None:
        """Adds the weights as they are after ``step`` to the mean, if it is one of the last."""
        if step <= self._begins:
            return
        if self._mean is None:
            self._mean = AveragedModel(self._weights, multi_avg_fn=self._rule)
        self._mean.update_parameters(self._weights)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """In the block, the weights are their mean, once it has begun."""
        if self._mean is None:
            yield
            return
        live = [weight.detach().clone() for weight in self._weights]
        _copy(self._mean.module.parameters(), self._weights)
        try:
            yield
        finally:
            _copy(live, self._weights)


@torch.no_grad()
def _copy(values: Iterable[Tensor], weights: Iterable[Tensor]) -> None:
    for value, weight in zip(values, weights, strict=True):
        weight.copy_(value)


class EarlyStopping:
    """Keeps the weights with the best validation metric, and says when to stop.

    Weights whose loss or metric is not a finite number have diverged: they are never kept, and training stops at once.
    """

    def __init__(self, name: str, weights: Mapping[str, Tensor], patience: int, report: Report) -> None:
        """Watches ``weights``, live tensors of the model called ``name``; higher metrics are better."""
        self._name = name
        self._weights = weights
        self._patience = patience
        self._report = report
        self._best = -math.inf
        self.best_step = 0
        """Step after which the metric was best."""
        self._kept: dict[str, Tensor] = {}
        self._worse = 0

    def stops_at(self, step: int, metric: float, loss: float = 0.0) -> bool:
        """Takes the metric of the weights as they are after ``step``; true where training should stop."""
        self._report(f"{self._name}_validation", step, metric)
        if not (math.isfinite(metric) and math.isfinite(loss)):
            log.warning("%s: diverged at %d (loss %s, metric %s).", self._name, step, loss, metric)
            return True
        if metric > self._best:
            self._best, self._worse, self.best_step = metric, 0, step
            self._kept = {name: weight.detach().clone() for name, weight in self._weights.items()}
            return False
        self._worse += 1
        if self._worse >= self._patience:
            log.info("%s: stopped early at %d.", self._name, step)
            return True
        return False

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the best weights back.

        Raises:
            ModelError: training diverged before there were any.
        """
        if not self._kept:
            raise ModelError(
                f"Training of the {self._name} diverged before its first validation. Lower its learning_rate under "
                "[training] in nightshift.toml."
            )
        for name, weight in self._kept.items():
            self._weights[name].copy_(weight)
