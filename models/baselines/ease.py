"""EASE: a linear model from items to items with a closed form."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from models.baselines.base import BLOCK_USERS, Baseline, Entries, best_of, joined
from models.behaviours import Known
from models.excluded import Excluded


class Ease(Baseline):
    """Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data".

    The weights are a dense matrix of items by items: of a larger catalogue, only the `ease_items` items with most
    events take part.
    """

    name = "baseline/ease"

    def _learn(self, everyone: Known) -> None:
        events = np.bincount(everyone.past.items, minlength=self.items)
        order = np.lexsort((np.arange(self.items), -events))
        self.taking_part = np.sort(order[: min(self.rules.ease_items, np.count_nonzero(events))])
        matrix = self._matrix(everyone)
        gram = np.asarray((matrix.T @ matrix).toarray(), dtype=np.float32)
        gram[np.diag_indices_from(gram)] += np.float32(self.rules.ease_penalty)
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False) if len(gram) else gram
        self.weights = inverse / -np.diag(inverse)
        np.fill_diagonal(self.weights, 0)

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:
        matrix, parts = self._matrix(known), []
        for start in range(0, len(known.past), BLOCK_USERS):
            block = matrix[start : start + BLOCK_USERS]
            scores = np.full((block.shape[0], self.items), -np.inf)
            scores[:, self.taking_part] = block @ self.weights
            scores[np.diff(block.indptr) == 0] = -np.inf
            parts.append(best_of(scores, start, n, excluded, self.items))
        return joined(parts)

    def _matrix(self, known: Known) -> sparse.csr_array:
        """Who had what, by the strongest of their events, [users, items that take part]."""
        place = np.full(self.items, -1)
        place[self.taking_part] = np.arange(len(self.taking_part))
        past = known.past.select(place[known.past.items] >= 0)
        strength = known.behaviours.strengths(past)
        size = max(1, len(self.taking_part))
        keys, entry = np.unique(past.users * size + place[past.items], return_inverse=True)
        strongest = np.zeros(len(keys), dtype=np.float32)
        np.maximum.at(strongest, entry, strength)
        return sparse.csr_array((strongest, (keys // size, keys % size)), shape=(len(past), len(self.taking_part)))
