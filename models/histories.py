"""Users' histories as flat arrays: the one form in which events enter the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

DAY = 86_400
"""Seconds in a day."""


@dataclass(frozen=True)
class Histories:
    """Events of many users, user after user and oldest first, in compressed-row form.

    User ``u`` owns the events ``indptr[u]:indptr[u + 1]``. Events of one user are ordered by time,
    ties by item, so that the same events always give the same arrays.
    """

    indptr: Longs  # [users + 1]
    items: Ints  # [events], index into the catalogue; -1 is an item that is not in it
    behaviours: Ints  # [events], index into the settings' behaviours
    times: Longs  # [events], seconds since 1970 UTC

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Longs:
        """Number of events of each user, [users]."""
        return np.diff(self.indptr)

    @property
    def users(self) -> Ints:
        """The user of every event, [events]."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    def select(self, keep: NDArray[np.bool_]) -> Histories:
        """The same users with only the events where ``keep`` [events] is true."""
        counts = np.bincount(self.users[keep], minlength=len(self))
        return Histories(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            self.items[keep],
            self.behaviours[keep],
            self.times[keep],
        )

    def between(self, start: int, end: int) -> Histories:
        """Only the events with ``start <= time < end`` (seconds)."""
        return self.select((self.times >= start) & (self.times < end))

    def last(self, count: int) -> Histories:
        """Only each user's newest ``count`` events."""
        from_end = np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.items))
        return self.select(from_end <= count)

    def take(self, users: Sequence[int] | Ints) -> Histories:
        """Only the given users, in the given order."""
        chosen = np.asarray(users, dtype=np.int64)
        counts = self.lengths[chosen]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        index = np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], counts)
        return Histories(indptr, self.items[index], self.behaviours[index], self.times[index])

    @classmethod
    def from_events(cls, users: int, user: Ints, item: Ints, behaviour: Ints, time: Longs) -> Histories:
        """Builds histories of ``users`` users from loose events in any order."""
        order = np.lexsort((behaviour, item, time, user))
        counts = np.bincount(user, minlength=users)
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            item[order].astype(np.int32),
            behaviour[order].astype(np.int32),
            time[order].astype(np.int64),
        )
