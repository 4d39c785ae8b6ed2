"""Which items go together: recency-weighted same-trip and next-trip pairs, kept as each item's neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.histories import DAY, Floats, Histories, Ints, Longs

TRIP_GAP = 1_800
"""Seconds without an event that end a trip: the usual session rule."""


@dataclass(frozen=True)
class PairSettings:
    """How pairs of items are counted."""

    neighbours: int = 50
    half_life_days: float = 120.0
    next_trip: float = 0.5  # weight of a pair in consecutive trips, relative to one in the same trip
    popularity_power: float = 0.5  # 0 keeps P(b | a), 1 gives the lift
    prior: float = 5.0  # decayed purchases that pull the weights of rare items down
    min_weight: float = 1.0  # decayed pair count below which a pair is chance


@dataclass(frozen=True)
class Neighbours:
    """The strongest neighbours of every item, strongest first; ``-1`` and weight 0 pad."""

    items: Ints  # [items, k]
    weights: Floats  # [items, k]


@dataclass(frozen=True)
class Together:
    """Items that go with what users recently took, by user and then item."""

    indptr: Longs  # [users + 1]
    items: Ints  # [pairs]
    scores: Floats  # [pairs]
    because: Ints  # [pairs], the history item that contributed most


def trip_ids(histories: Histories) -> Longs:
    """Number of the trip of every event, counted through all users, [events]."""
    if not len(histories.items):
        return np.empty(0, dtype=np.int64)
    users = histories.users
    starts = (np.diff(users) != 0) | (np.diff(histories.times) > TRIP_GAP)
    return np.concatenate([[0], np.cumsum(starts)]).astype(np.int64)


def neighbours(histories: Histories, now: int, items: int, settings: PairSettings) -> Neighbours:
    """Neighbours of each of ``items`` items by what users took before ``now`` (seconds)."""
    past = histories.select((histories.times < now) & (histories.items >= 0))
    if not len(past.items):
        return _strongest(sparse.csr_array((items, items), dtype=np.float32), settings.neighbours)
    trips = trip_ids(past)
    first = np.flatnonzero(np.diff(trips, prepend=-1))
    owner = past.users[first]
    age = (now - past.times[first]) / DAY
    baskets = sparse.csr_array((np.ones(len(trips), np.float32), (trips, past.items)), shape=(len(first), items))
    baskets.sum_duplicates()
    baskets.data[:] = 1.0
    size = np.diff(baskets.indptr)
    recency = np.exp2(-age / settings.half_life_days)
    weight = (recency / np.log2(1.0 + size)).astype(np.float32)
    weighted = sparse.diags_array(weight) @ baskets
    pairs = (baskets.T @ weighted).tocsr()
    follows = np.flatnonzero(owner[1:] == owner[:-1])
    pairs = pairs + settings.next_trip * (weighted[follows].T @ baskets[follows + 1]).tocsr()
    bought = np.asarray(baskets.T @ recency.astype(np.float32))
    return _strongest(_normalised(pairs, bought, settings), settings.neighbours)


def _normalised(pairs: sparse.csr_array, bought: NDArray[np.float32], settings: PairSettings) -> sparse.csr_array:
    """``count(a, b) / ((bought(a) + prior) * (bought(b) + prior) ** power)`` without the diagonal."""
    entries = pairs.tocoo()
    row, column = entries.coords
    keep = (row != column) & (entries.data >= settings.min_weight)
    row, column, count = row[keep], column[keep], entries.data[keep]
    norm = (bought[row] + settings.prior) * (bought[column] + settings.prior) ** settings.popularity_power
    return sparse.csr_array((count / norm, (row, column)), shape=pairs.shape)


def _strongest(weights: sparse.csr_array, k: int) -> Neighbours:
    """The ``k`` largest entries of each row, ties by column."""
    items = weights.shape[0]
    entries = weights.tocoo()
    row, column = entries.coords
    order = np.lexsort((column, -entries.data, row))
    row, column, data = row[order], column[order], entries.data[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    top = rank < k
    found = np.full((items, k), -1, dtype=np.int32)
    strength = np.zeros((items, k), dtype=np.float32)
    found[row[top], rank[top]] = column[top]
    strength[row[top], rank[top]] = data[top]
    return Neighbours(found, strength)


def together(
    histories: Histories, near: Neighbours, now: int, recent: int = 50, half_life_days: float = 14.0
) -> Together:
    """Sums the neighbours of each user's newest ``recent`` events before ``now``, decayed by age."""
    items, k = near.items.shape
    past = histories.select((histories.times < now) & (histories.items >= 0)).last(recent)
    decay = np.exp2(-(now - past.times) / DAY / half_life_days)
    shown = near.items[past.items]
    user = np.repeat(past.users.astype(np.int64), k)
    cause = np.repeat(past.items, k)
    item = shown.ravel()
    score = (near.weights[past.items] * decay[:, None]).ravel()
    real = item >= 0
    key, cause, score = user[real] * items + item[real], cause[real], score[real]
    order = np.argsort(key, kind="stable")
    key, cause, score = key[order], cause[order], score[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(starts):
        empty = np.empty(0, dtype=np.int32)
        return Together(np.zeros(len(histories) + 1, np.int64), empty, empty.astype(np.float32), empty)
    sums = np.add.reduceat(score, starts)
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(key))))
    best = np.maximum.reduceat(score, starts)
    at_best = np.flatnonzero(score == best[group])
    chosen = at_best[np.flatnonzero(np.diff(group[at_best], prepend=-1))]
    counts = np.bincount(key[starts] // items, minlength=len(histories))
    return Together(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        (key[starts] % items).astype(np.int32),
        sums.astype(np.float32),
        cause[chosen],
    )
