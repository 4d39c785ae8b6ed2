"""Implicit matrix factorisation. Spark fits the items' factors; any user is folded in from what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Baselines
from models.baselines.base import BLOCK_USERS, Baseline, Entries, best_of, joined, of_users
from models.behaviours import Known
from models.excluded import Excluded
from models.histories import Floats, Ints, Longs
from models.ragged import indptr_of

RANK, ALPHA, PENALTY = 32, 10.0, 0.1
"""Size of the factors, confidence of an event, and regularisation (times a user's items, as in Spark)."""

Factors = Callable[[Longs, Ints, Floats, int], Floats]
"""Gives the items' factors [items, RANK] for loose (user, item, count) rows, zeros for an item without any."""


class Als(Baseline):
    """Source: Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets"."""

    name = "baseline/als"

    def __init__(self, rules: Baselines, factors: Factors) -> None:
        super().__init__(rules)
        self._fit_factors = factors

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to executors: not the function that fitted the factors, which holds a Spark session."""
        return {name: value for name, value in vars(self).items() if name != "_fit_factors"}

    def _learn(self, everyone: Known) -> None:
        user, item, count = of_users(everyone.past, self.items, everyone.strengths)
        self.factors = self._fit_factors(user, item, count.astype(np.float32), self.items)
        self.gram = self.factors.T @ self.factors

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:
        user, item, count = of_users(known.past, self.items, known.strengths)
        starts = indptr_of(np.bincount(user, minlength=len(known.past)))
        parts = []
        for start in range(0, len(known.past), BLOCK_USERS):
            stop = min(start + BLOCK_USERS, len(known.past))
            made = [
                self._user(item[a:b], count[a:b])
                for a, b in zip(starts[start:stop], starts[start + 1 : stop + 1], strict=True)
            ]
            scores = np.stack(made) @ self.factors.T
            scores[np.diff(starts[start : stop + 1]) == 0] = -np.inf
            parts.append(best_of(scores, start, n, excluded, self.items))
        return joined(parts)

    def _user(self, item: Ints, count: NDArray[np.float64]) -> Floats:
        """A user's factors: what the last half-iteration of ALS gives, [RANK]."""
        own = self.factors[item]
        left = self.gram + (own * (ALPHA * count)[:, None]).T @ own
        left[np.diag_indices_from(left)] += PENALTY * max(1, len(item))
        solved: Floats = np.linalg.solve(left, own.T @ (1 + ALPHA * count)).astype(np.float32)
        return solved
