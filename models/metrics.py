"""Ranking metrics over whole lists: one value a user, then means with intervals. Pure numpy, no sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.histories import Floats, Histories, Ints, Longs

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

Z95 = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""


@dataclass(frozen=True)
class Relevant:
    """The distinct items that each user went on to take, in compressed-row form, ascending in a user."""

    indptr: Longs  # [users + 1]
    items: Ints  # [relevant]

    @property
    def counts(self) -> Longs:
        """Number of relevant items of each user, [users]."""
        return np.diff(self.indptr)

    def take(self, users: NDArray[np.integer[Any]]) -> Relevant:
        """Only the given users, in the given order."""
        counts = self.counts[users]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        index = np.arange(indptr[-1]) + np.repeat(self.indptr[users] - indptr[:-1], counts)
        return Relevant(indptr, self.items[index])

    @classmethod
    def from_histories(cls, future: Histories) -> Relevant:
        """What users did in ``future``, each catalogue item once."""
        known = future.select(future.items >= 0)
        base = int(known.items.max(initial=0)) + 1
        keys = np.unique(known.users.astype(np.int64) * base + known.items)
        counts = np.bincount(keys // base, minlength=len(future))
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), (keys % base).astype(np.int32))


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95% interval (normal approximation)."""

    mean: float
    low: float
    high: float
    users: int


def hits(ranked: Ints, relevant: Relevant) -> Flags:
    """Where a list shows a relevant item for the first time, [users, n]; ``-1`` pads never hit."""
    users, n = ranked.shape
    base = int(max(ranked.max(initial=0), relevant.items.max(initial=0))) + 1
    rows = np.arange(users, dtype=np.int64)[:, None] * base
    wanted = np.repeat(rows[:, 0], relevant.counts) + relevant.items
    keys = rows + ranked
    found = np.isin(keys, wanted) & (ranked >= 0)
    order = np.argsort(keys, axis=1, kind="stable")
    in_order = np.take_along_axis(keys, order, axis=1)
    again = np.zeros((users, n), dtype=np.bool_)
    np.put_along_axis(again, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    return found & ~again


def recall(hit: Flags, relevant: Longs) -> Doubles:
    """Share of the ``relevant`` [users] items in the lists, [users]; NaN where nothing is relevant."""
    return _where_relevant(hit.sum(axis=1), relevant, relevant)


def ndcg(hit: Flags, relevant: Longs) -> Doubles:
    """Normalised discounted gain, binary gains, ideal = min(n, relevant) hits first, [users].

    Source: Järvelin and Kekäläinen 2002, with the discount 1 / log2(rank + 1).
    """
    n = hit.shape[1]
    discounts = 1.0 / np.log2(np.arange(2, n + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    return _where_relevant(hit @ discounts, ideal[np.minimum(relevant, n)], relevant)


def reciprocal_rank(hit: Flags, relevant: Longs) -> Doubles:
    """One over the rank of the first hit, 0 without one, [users]."""
    first = np.where(hit.any(axis=1), 1.0 / (hit.argmax(axis=1) + 1), 0.0)
    return _where_relevant(first, np.ones(len(hit)), relevant)


def hit_rate(hit: Flags, relevant: Longs) -> Doubles:
    """1 where the list holds any relevant item, [users]."""
    return _where_relevant(hit.max(axis=1, initial=False), np.ones(len(hit)), relevant)


def accuracy(ranked: Ints, relevant: Relevant, n: int) -> dict[str, Doubles]:
    """Recall, NDCG, MRR and hit rate of the first ``n`` of each list, [users] each."""
    hit = hits(ranked[:, :n], relevant)
    counts = relevant.counts
    return {
        "recall": recall(hit, counts),
        "ndcg": ndcg(hit, counts),
        "mrr": reciprocal_rank(hit, counts),
        "hit_rate": hit_rate(hit, counts),
    }


def coverage(ranked: Ints, items: int) -> float:
    """Share of the catalogue of ``items`` items that appears in any list."""
    return len(np.unique(ranked[ranked >= 0])) / items


def novelty(ranked: Ints, purchases: NDArray[np.int64] | Floats) -> Doubles:
    """Mean self-information of each list in bits, [users]; NaN for an empty list.

    ``-log2((purchases + 1) / (total + items))`` by ``purchases`` [items]: the one added gives items
    that nobody bought a finite surprise. Source: Vargas and Castells 2011.
    """
    bits = -np.log2((purchases + 1.0) / (purchases.sum() + len(purchases)))
    shown = ranked >= 0
    return _ratio((bits[ranked] * shown).sum(axis=1), shown.sum(axis=1))


def diversity(ranked: Ints, categories: Ints) -> Doubles:
    """Share of the pairs in each list that differ in ``categories`` [items], [users]; NaN below two items."""
    shown = ranked >= 0
    codes = np.where(shown, categories[ranked], -1)
    same = (codes[:, :, None] == codes[:, None, :]) & shown[:, :, None] & shown[:, None, :]
    length = shown.sum(axis=1)
    ordered_pairs = length * (length - 1)
    return _ratio(ordered_pairs - (same.sum(axis=(1, 2)) - length), ordered_pairs)


def estimate(values: Doubles) -> Estimate:
    """The mean of ``values`` [users] without NaN, and its 95% interval."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(seen.mean())
    half = Z95 * float(seen.std(ddof=1)) / len(seen) ** 0.5 if len(seen) > 1 else np.inf
    return Estimate(mean, mean - half, mean + half, len(seen))


def paired_difference(challenger: Doubles, champion: Doubles) -> Estimate:
    """Mean gain of ``challenger`` over ``champion`` on the same users, with its 95% interval."""
    return estimate(challenger - champion)


def _where_relevant(value: NDArray[Any], norm: NDArray[Any], relevant: Longs) -> Doubles:
    """``value / norm`` [users] where the user has a relevant item, else NaN."""
    return np.where(relevant > 0, _ratio(value, norm), np.nan)


def _ratio(value: NDArray[Any], norm: NDArray[Any]) -> Doubles:
    """``value / norm``, NaN where the norm is 0."""
    top, bottom = np.asarray(value, np.float64), np.asarray(norm, np.float64)
    quotient: Doubles = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient
