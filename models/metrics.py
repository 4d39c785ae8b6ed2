"""Ranking metrics over whole lists: one value a user, then means with intervals. Pure numpy, no sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.histories import Flags, Floats, Histories, Ints, Longs
from models.ragged import gather, indptr_of, kept, row_of_each

Doubles = NDArray[np.float64]

Z95 = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""


@dataclass(frozen=True)
class Relevant:
    """The distinct items of each user's target events in a window, in compressed-row form, ascending in a user."""

    indptr: Longs  # [users + 1]
    items: Ints  # [relevant]

    @property
    def counts(self) -> Longs:
        """Number of relevant items of each user, [users]."""
        return np.diff(self.indptr)

    def take(self, users: NDArray[np.integer[Any]]) -> Relevant:
        """Only the given users, in the given order."""
        indptr, index = gather(self.indptr, users)
        return Relevant(indptr, self.items[index])

    def select(self, keep: Flags) -> Relevant:
        """The same users with only the items where ``keep`` [relevant] is true."""
        return Relevant(kept(self.indptr, keep), self.items[keep])

    @classmethod
    def from_histories(cls, future: Histories) -> Relevant:
        """The items of the events ``future``, each catalogue item once."""
        known = future.select(future.items >= 0)
        base = int(known.items.max(initial=0)) + 1
        keys = np.unique(known.users * base + known.items)
        return cls(indptr_of(np.bincount(keys // base, minlength=len(future))), (keys % base).astype(np.int32))


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
    wanted = row_of_each(relevant.indptr) * base + relevant.items
    keys = np.arange(users, dtype=np.int64)[:, None] * base + ranked
    is_relevant = np.isin(keys, wanted) & (ranked >= 0)
    order = np.argsort(keys, axis=1, kind="stable")
    in_order = np.take_along_axis(keys, order, axis=1)
    again = np.zeros((users, n), dtype=np.bool_)
    np.put_along_axis(again, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    return is_relevant & ~again


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


def novelty(ranked: Ints, events: NDArray[np.int64] | Floats) -> Doubles:
    """Mean self-information of each list in bits, [users]; NaN for an empty list.

    ``-log2((events + 1) / (total + items))`` by the target ``events`` [items]: the one added gives items
    without any a finite surprise. Source: Vargas and Castells 2011.
    """
    bits = -np.log2((events + 1.0) / (events.sum() + len(events)))
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


def bootstrap(values: Doubles, resamples: int, seed: int) -> tuple[float, float]:
    """The 95% percentile interval of the mean of ``values`` [users] without NaN, by drawing users again.

    Source: Efron 1979; of differences on the same users it is the paired bootstrap of Sakai 2006.
    """
    seen = values[~np.isnan(values)]
    if len(seen) < 2:
        return -np.inf, np.inf
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, 50):  # 50 x users numbers at once
        drawn = random.integers(0, len(seen), (min(50, resamples - start), len(seen)))
        means[start : start + len(drawn)] = seen[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _where_relevant(value: NDArray[Any], norm: NDArray[Any], relevant: Longs) -> Doubles:
    """``value / norm`` [users] where the user has a relevant item, else NaN."""
    return np.where(relevant > 0, _ratio(value, norm), np.nan)


def _ratio(value: NDArray[Any], norm: NDArray[Any]) -> Doubles:
    """``value / norm``, NaN where the norm is 0."""
    top, bottom = np.asarray(value, np.float64), np.asarray(norm, np.float64)
    quotient: Doubles = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient
