"""What the user and users like them come back for: TIFU-KNN, as far as decayed counts go."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from models.baselines.base import BLOCK_USERS, Baseline, Entries, best_of, joined, of_users
from models.behaviours import Known
from models.excluded import Excluded

MOST_USERS = 20_000
"""Users among whom neighbours are looked for: of a larger shop, evenly spread ones."""


class NextBasket(Baseline):
    """The user's decayed shares, and those of the nearest users at a weight.

    Source: Hu, He, Gao and Zhang 2020, "Modeling Personalized Item Frequency Information for Next-basket
    Recommendation". Instead of decays by basket and by group of baskets, one half-life in days; neighbours by the
    cosine of log counts with inverse user frequency.
    """

    name = "baseline/next_basket"

    def _learn(self, everyone: Known) -> None:
        shares = self._shares(everyone)
        holders = np.bincount(shares.indices, minlength=self.items)
        self.rarity = np.log((1.0 + len(everyone.past)) / (1.0 + holders))
        with_events = np.flatnonzero(np.diff(shares.indptr))
        evenly = np.linspace(0, len(with_events) - 1, min(MOST_USERS, len(with_events))).astype(np.int64)
        self.shares = shares[with_events[evenly]]
        self.profiles = self._profiles(self.shares)

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:
        shares, weight = self._shares(known), self.rules.neighbour_weight
        parts = []
        for start in range(0, len(known.past), BLOCK_USERS):
            own = shares[start : start + BLOCK_USERS]
            likeness = (self._profiles(own) @ self.profiles.T).toarray()
            # a user is no neighbour of themselves, nor is one with the very same history
            likeness[likeness > 1 - 1e-9] = 0
            k = min(self.rules.neighbours, likeness.shape[1])
            if k:
                least = np.partition(likeness, -k, axis=1)[:, -k, None]
                likeness[likeness < least] = 0
            total = np.maximum(likeness.sum(axis=1, keepdims=True), 1e-12)
            near = sparse.csr_array(likeness / total) @ self.shares
            scores = (own + weight * near).tocsr()
            parts.append(best_stored(scores, start, n, excluded, self.items))
        return joined(parts)

    def _shares(self, known: Known) -> sparse.csr_array:
        """Each user's decayed counts as shares, [users, items]."""
        targets = known.targets
        decay = np.exp2(-targets.ages(known.now) / self.rules.repeat_half_life_days)
        user, item, score = of_users(targets, self.items, decay)
        total = np.bincount(user, score, minlength=len(targets))
        return sparse.csr_array((score / total[user], (user, item)), shape=(len(targets), self.items))

    def _profiles(self, shares: sparse.csr_array) -> sparse.csr_array:
        """Unit rows, by which users are compared."""
        made = shares.copy()
        made.data = np.log1p(100 * made.data) * self.rarity[made.indices]
        norm = np.sqrt(np.asarray(made.multiply(made).sum(axis=1)).ravel())
        return sparse.csr_array(sparse.diags_array(1 / np.maximum(norm, 1e-12)) @ made)


def best_stored(scores: sparse.csr_array, start: int, n: int, excluded: Excluded, items: int) -> Entries:
    """`best_of` of the stored scores above 0 alone: what is not stored has nothing to say."""
    user, item, score = best_of(scores.toarray(), start, n, excluded, items)
    said = score > 0
    return user[said], item[said], score[said]
