"""What every training loop needs: a learning rate over steps, early stopping, and somebody to report to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from contracts.errors import ModelError

log = logging.getLogger("nightshift")

Report = Callable[[str, int, float], None]
"""Told (curve, step, value) of losses and metrics."""


def linear_schedule(
    optimiser: torch.optim.Optimizer, steps: int, warm_up: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """A learning rate that rises over ``warm_up`` steps and falls linearly to zero at ``steps``."""

    def factor(step: int) -> float:
        falling = max(0.0, 1 - step / steps)
        return min((step + 1) / warm_up, falling) if warm_up else falling

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def descend(optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
    """One step down the gradient that was gathered, its norm at most 1; then the next learning rate."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    schedule.step()


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
