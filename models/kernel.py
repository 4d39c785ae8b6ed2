"""The scoring kernel: the best matches of users among all items, exactly.

A block of scores, users x items, is one matrix product that stays in the processor's cache; `models.selection` takes
from it what passes each user's threshold, and the next block overwrites it. A first threshold is guessed from some of
the items; for whom it was too high, once more without one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from models.devices import by_threads
from models.excluded import Excluded
from models.ragged import Flags, Floats, Ints, Longs
from models.selection import NOTHING, items_of, keep_best, leave_out, only_best, scores_of

BLOCK_USERS = 512
BLOCK_ITEMS = 1024
"""A block of scores is 2 MB, which most processors keep; smaller ones make the product slower."""
LEAST_USERS = 8
LEAST_ITEMS = 128
"""Smaller products add in another order: what a user gets must not depend on who else is scored."""
SAMPLED = 61
"""The first threshold is guessed from every so many-th item; a prime, for what repeats along the catalogue."""


@dataclass(frozen=True)
class Cap:
    """At most ``most`` items of each category."""

    categories: Ints  # [all items], numbers from 0
    most: int


@dataclass(frozen=True)
class _Excluding:
    """What some users must not get: of each a slice of the items of all."""

    items: Ints  # ascending in a slice
    starts: Longs  # [users]
    ends: Longs  # [users]

    @classmethod
    def of(cls, excluded: Excluded, users: Longs) -> _Excluding:
        return cls(excluded.items, excluded.indptr[users], excluded.indptr[users + 1])

    def take(self, users: Longs) -> _Excluding:
        return _Excluding(self.items, self.starts[users], self.ends[users])


@dataclass(frozen=True)
class ItemIndex:
    """The items that may be recommended, ready to be matched with any number of users."""

    items: Ints  # [allowed], ascending
    vectors: torch.Tensor  # [allowed, and zeros up to LEAST_ITEMS, size]
    sample: torch.Tensor  # every SAMPLED-th of them
    in_sample: Ints  # [all items]: row of ``sample``, or -1

    @classmethod
    def of(cls, vectors: Floats, allowed: Flags | None = None) -> ItemIndex:
        """From the ``vectors`` [items, size] of all items, and which are ``allowed`` [items] for everyone, or all."""
        items = np.arange(len(vectors), dtype=np.int32) if allowed is None else np.flatnonzero(allowed).astype(np.int32)
        of_items = np.ascontiguousarray(vectors) if len(items) == len(vectors) else vectors[items]
        if len(items) < LEAST_ITEMS:
            of_items = np.pad(of_items, ((0, LEAST_ITEMS - len(items)), (0, 0)))
        in_sample = np.full(len(vectors), -1, dtype=np.int32)
        in_sample[items[::SAMPLED]] = np.arange(len(items[::SAMPLED]))
        keys = torch.from_numpy(of_items)
        return cls(items, keys, keys[: len(items) : SAMPLED].contiguous(), in_sample)

    @property
    def exact(self) -> ItemIndex:
        """Itself: what an approximate index (`models.approximate`) has beside its lists."""
        return self

    def best(self, users: Floats, k: int, excluded: Excluded | None = None, cap: Cap | None = None) -> Ints:
        """The ``k`` items with the largest inner product for each user, exactly, best first, [users, k]; ``-1`` pads.

        Ties go to the smaller item. What a user gets does not depend on the other users. Users with a zero vector get
        nothing. As many threads work as torch may use.

        Args:
            users: [users, size].
            k: Matches wanted.
            excluded: What each user must not get, if anything.
            cap: How many of a category, if that is limited.
        """
        return self.best_and_scores(users, k, excluded, cap)[0]

    def best_and_scores(
        self, users: Floats, k: int, excluded: Excluded | None = None, cap: Cap | None = None
    ) -> tuple[Ints, Floats]:
        """What `best` gives, and the inner product of each, [users, k]; NaN where there is no item."""
        found = np.full((len(users), k), NOTHING, dtype=np.int64)
        rows = np.flatnonzero(users.any(axis=1))
        k = min(k, len(self.items))
        if k and len(rows):
            self._fill(found[:, :k], users, rows, excluded or Excluded.nothing(len(users)), cap)
        return items_of(found), scores_of(found)

    def _fill(self, found: Longs, users: Floats, rows: Longs, excluded: Excluded, cap: Cap | None) -> None:
        """Sets the rows of ``found`` [users, k] to the keys of the best, in parts that threads share."""
        threads = min(torch.get_num_threads(), -(-len(rows) // LEAST_USERS))
        parts = np.array_split(rows, max(threads, -(-len(rows) // BLOCK_USERS)))

        def match(part: Longs) -> None:
            found[part] = _matches(users[part], self, found.shape[1], _Excluding.of(excluded, part), cap)

        by_threads(match, parts, threads)


def _matches(users: Floats, index: ItemIndex, k: int, excluding: _Excluding, cap: Cap | None) -> Longs:
    """Keys of the best of a block of users, best first, [users, k]."""
    thresholds = _without(len(users)) if cap else _guessed(users, index, k, excluding)
    found = _scan(users, index, k, excluding, cap, thresholds.copy())
    short = np.flatnonzero((found == NOTHING).any(axis=1) & np.isfinite(thresholds))
    if len(short):  # the guess was too high, or there are fewer than k
        found[short] = _scan(users[short], index, k, excluding.take(short), cap, _without(len(short)))
    found.sort(axis=1)
    return found[:, ::-1]


def _without(users: int) -> Floats:
    """Thresholds that everything passes."""
    return np.full(users, -np.inf, dtype=np.float32)


def _guessed(users: Floats, index: ItemIndex, k: int, excluding: _Excluding) -> Floats:
    """Thresholds that more than k items of nearly every user pass, [users].

    Of the k best, about k / SAMPLED are in the sample, by chance (Poisson): below so many and some more is a threshold.
    """
    sampled = len(index.sample)
    expected = k * sampled / len(index.items)
    rank = math.ceil(expected + 3.5 * math.sqrt(expected) + 2)
    if rank >= sampled:
        return _without(len(users))
    scores: Floats = (torch.from_numpy(users) @ index.sample.T).numpy()
    leave_out(scores, index.in_sample, excluding.items, excluding.starts, excluding.ends)
    scores.partition(sampled - rank, axis=1)
    below: Floats = np.nextafter(scores[:, sampled - rank], np.float32(-np.inf))
    return below


def _scan(users: Floats, index: ItemIndex, k: int, excluding: _Excluding, cap: Cap | None, thresholds: Floats) -> Longs:
    """Keys of the k best that pass the thresholds, in no order, [users, k]; `NOTHING` pads. The thresholds rise."""
    queries = torch.zeros(max(len(users), LEAST_USERS), users.shape[1])
    queries[: len(users)] = torch.from_numpy(users)
    room = np.empty(len(queries) * (BLOCK_ITEMS + LEAST_ITEMS), dtype=np.float32)
    kept = np.empty((len(users), 2 * k + 32), dtype=np.int64)
    counts = np.zeros(len(users), dtype=np.int64)
    cursors = excluding.starts.copy()
    categories, most = (cap.categories, cap.most) if cap else (np.zeros(0, dtype=np.int32), 0)
    limits = (categories, most, np.zeros(int(categories.max(initial=-1)) + 1, dtype=np.int64))
    for first, last in _blocks(len(index.items)):
        vectors = index.vectors[first : max(last, LEAST_ITEMS)]
        scores = room[: len(queries) * len(vectors)].reshape(len(queries), len(vectors))
        torch.mm(queries, vectors.T, out=torch.from_numpy(scores))
        keep_best(
            scores,
            index.items[first:last],
            k,
            kept,
            counts,
            thresholds,
            excluding.items,
            cursors,
            excluding.ends,
            *limits,
        )
    only_best(kept, counts, k, *limits)
    return kept[:, :k]


def _blocks(items: int) -> list[tuple[int, int]]:
    """Where blocks of items begin and end, none but an only one smaller than LEAST_ITEMS."""
    starts = list(range(0, max(items - LEAST_ITEMS, 0) + 1, BLOCK_ITEMS))
    return list(zip(starts, [*starts[1:], items], strict=True))
