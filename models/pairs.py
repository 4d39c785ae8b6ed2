"""Events grouped by a user and what they were of: an item, or an attribute of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.ragged import Floats, Ints, Longs, starts_of


@dataclass(frozen=True)
class Pairs:
    """Events grouped by (user, code): ``order`` sorts them by key, then time."""

    keys: Longs  # [pairs], user * codes + code, ascending
    order: Longs  # [events]
    starts: Longs  # [pairs]

    @classmethod
    def of(cls, users: Longs, codes: Ints, size: int) -> Pairs:
        """Groups events by user and code, of ``size`` codes; ``users`` ascend."""
        users_starts = starts_of(users)
        indptr = np.append(users_starts, len(users)).astype(np.int64)
        order, starts = grouped(indptr, np.ascontiguousarray(codes), size)
        first = order[starts]
        return cls(users[first] * size + codes[first], order, starts)

    @property
    def counts(self) -> Longs:
        """Number of events of each pair, [pairs]."""
        return np.diff(np.append(self.starts, len(self.order)))

    @property
    def of_each(self) -> Longs:
        """Pair of each of the ordered events, [events]."""
        return np.repeat(np.arange(len(self.keys)), self.counts)

    def sums(self, value: NDArray[Any]) -> Floats:
        """Sums ``value`` [events] over each pair."""
        if not len(self.keys):
            return np.empty(0, dtype=np.float32)
        totals: Floats = np.add.reduceat(value[self.order], self.starts, dtype=np.float32)
        return totals

    def least(self, value: NDArray[Any]) -> NDArray[Any]:
        """The least ``value`` [events] of each pair, [pairs]."""
        if not len(self.keys):
            return value[:0]
        least: NDArray[Any] = np.minimum.reduceat(value[self.order], self.starts)
        return least

    def first(self, value: NDArray[Any]) -> NDArray[Any]:
        """``value`` [events] at each pair's oldest event."""
        firsts: NDArray[Any] = value[self.order[self.starts]]
        return firsts

    def last(self, value: NDArray[Any]) -> NDArray[Any]:
        """``value`` [events] at each pair's newest event."""
        lasts: NDArray[Any] = value[self.order[self.starts + self.counts - 1]]
        return lasts


@compiled
def grouped(indptr: Longs, codes: Ints, size: int) -> tuple[Longs, Longs]:
    """Order of the events by user, code and then as they come, [events], and where each pair begins in it, [pairs].

    A counting sort of each user's few codes, instead of a sort of all events.

    Args:
        indptr: Where each user's events begin, [users + 1].
        codes: Of the events, from 0 to ``size``.
        size: Number of codes.
    """
    order = np.empty(len(codes), np.int64)
    starts = np.empty(len(codes), np.int64)
    counts = np.zeros(size, np.int64)  # of a user's events by code, then where the next one goes
    pairs = 0
    for user in range(len(indptr) - 1):
        mine = codes[indptr[user] : indptr[user + 1]]
        distinct = np.empty(len(mine), codes.dtype)
        found = 0
        for code in mine:
            if counts[code] == 0:
                distinct[found] = code
                found += 1
            counts[code] += 1
        place = indptr[user]
        for code in np.sort(distinct[:found]):
            starts[pairs] = place
            pairs += 1
            place, counts[code] = place + counts[code], place
        for event in range(len(mine)):
            order[counts[mine[event]]] = indptr[user] + event
            counts[mine[event]] += 1
        for code in distinct[:found]:
            counts[code] = 0
    return order, starts[:pairs]
