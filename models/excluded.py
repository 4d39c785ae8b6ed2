"""What a user is not to be recommended, whatever ranks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.histories import DAY, Histories
from models.metrics import Relevant
from models.ragged import Ints, Longs, gather, indptr_of, padded, row_of_each


@dataclass(frozen=True)
class Excluded:
    """Items that must not be on a user's list, by user in compressed-row form, ascending in a user.

    Raises:
        ValueError: a user's items are not ascending.
    """

    indptr: Longs  # [users + 1]
    items: Ints  # [excluded items]

    def __post_init__(self) -> None:
        falls = np.flatnonzero(self.items[1:] < self.items[:-1]) + 1
        if not np.isin(falls, self.indptr).all():
            raise ValueError("excluded items must be ascending in each user")

    def keys(self, items: int) -> Longs:
        """``user * items + item`` of each."""
        return row_of_each(self.indptr) * items + self.items

    @classmethod
    def nothing(cls, users: int) -> Excluded:
        """Nothing, for so many users."""
        return cls(indptr_of(np.zeros(users, dtype=np.int64)), np.zeros(0, dtype=np.int32))

    @classmethod
    def seen(cls, past: Histories, days: Mapping[int, int], now: int) -> Excluded:
        """What `scoring.exclude_seen_days` excludes.

        Args:
            past: All that is known of the users.
            days: Behaviour -> an item is excluded that the user had such an event of in so many days before now.
            now: Seconds, a midnight.
        """
        is_seen = np.zeros(len(past.items), dtype=np.bool_)
        for behaviour, within in sorted(days.items()):
            is_seen |= (past.behaviours == behaviour) & (past.times >= now - within * DAY)
        seen = Relevant.from_histories(past.select(is_seen))
        return cls(seen.indptr, seen.items)

    def take(self, users: NDArray[np.integer[Any]]) -> Excluded:
        """Only of the given users, in the given order."""
        indptr, index = gather(self.indptr, users)
        return Excluded(indptr, self.items[index])

    def out_of(self, relevant: Relevant, items: int) -> Relevant:
        """What is relevant without what must not be listed, of ``items`` items in the catalogue."""
        return relevant.select(~np.isin(row_of_each(relevant.indptr) * items + relevant.items, self.keys(items)))

    def removed_from(self, lists: Ints, n: int, items: int) -> Ints:
        """The ``n`` first of each list [users, k] that may be listed, [users, n]; ``-1`` pads."""
        keys = np.arange(len(lists), dtype=np.int64)[:, None] * items + lists
        may = (lists >= 0) & ~np.isin(keys, self.keys(items))
        user, _ = np.nonzero(may)
        return padded(indptr_of(np.bincount(user, minlength=len(lists))), lists[may], n, -1).astype(np.int32)
