"""Events grouped by a user and what they were of: an item, or an attribute of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        from models.segments import grouped  # see there

        indptr = np.append(starts_of(users), len(users)).astype(np.int64)
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
