"""Users' histories as flat arrays: the one form in which events enter the model.

All times are seconds of the shop's clock: seconds since 1970 of its wall clock, so that each of its days has 86,400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ragged import Flags, Floats, Ints, Longs, gather, indptr_of, kept, row_of_each

__all__ = ["DAY", "Flags", "Floats", "Histories", "Ints", "Longs", "basket_ids"]

DAY = 86_400
"""Seconds in a day."""
BASKET_GAP_SECONDS = 1_800
"""Seconds without an event that end a basket where the log names no session: the usual rule."""


@dataclass(frozen=True)
class Histories:
    """Events of many users, user after user and oldest first, in compressed-row form.

    User ``u`` owns the events ``indptr[u]:indptr[u + 1]``. Events of one user are ordered by time, ties by session,
    item, behaviour and rating, so that the same events always give the same arrays.
    """

    indptr: Longs  # [users + 1]
    items: Ints  # [events], index into the catalogue; -1 is an item that is not in it
    behaviours: Ints  # [events], index into the settings' behaviours
    times: Longs  # [events], seconds of the shop's clock
    sessions: Longs  # [events], equal within a session of the user; 0 where the log names none
    ratings: Floats  # [events], on the shop's scale; NaN where there is none

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Longs:
        """Number of events of each user, [users]."""
        return np.diff(self.indptr)

    @property
    def users(self) -> Longs:
        """The user of every event, [events]."""
        return row_of_each(self.indptr)

    def select(self, keep: Flags) -> Histories:
        """The same users with only the events where ``keep`` [events] is true."""
        return self._of(kept(self.indptr, keep), keep)

    def before(self, now: int) -> Histories:
        """Only the events of catalogue items before ``now`` (seconds): what may be known of the past."""
        return self.select((self.times < now) & (self.items >= 0))

    def between(self, start: int, end: int) -> Histories:
        """Only the events with ``start <= time < end`` (seconds)."""
        return self.select((self.times >= start) & (self.times < end))

    def last(self, count: int) -> Histories:
        """Only each user's newest ``count`` events."""
        return self.select(self.from_end <= count)

    @property
    def from_end(self) -> Longs:
        """How many of its user's events lie from each event to the last one, both counted, [events]."""
        return np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.items))

    def are_of(self, behaviours: Sequence[int]) -> Flags:
        """Which events are of one of these behaviours, [events]."""
        return np.isin(self.behaviours, list(behaviours))

    def take(self, users: Sequence[int] | NDArray[np.integer[Any]]) -> Histories:
        """Only the given users, in the given order."""
        indptr, index = gather(self.indptr, np.asarray(users, dtype=np.int64))
        return self._of(indptr, index)

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        """All that is told of each event, [events] each."""
        return self.items, self.behaviours, self.times, self.sessions, self.ratings

    def _of(self, indptr: Longs, chosen: NDArray[Any]) -> Histories:
        return Histories(indptr, *(column[chosen] for column in self._columns))

    @classmethod
    def joined(cls, parts: Sequence[Histories]) -> Histories:
        """The users of several histories, one part after the other."""
        columns = (np.concatenate(same) for same in zip(*(part._columns for part in parts), strict=True))
        return cls(indptr_of(np.concatenate([part.lengths for part in parts])), *columns)

    def ages(self, now: int) -> NDArray[np.float64]:
        """Days from each event to ``now`` (seconds), [events]."""
        return (now - self.times) / DAY

    def behind_last(self, values: Longs) -> Longs:
        """How far ``values`` [events] lie behind that of the user's last event, [events]."""
        of_last = np.zeros(len(self), dtype=np.int64)
        of_last[self.users] = values  # the last of a user's values stays
        return of_last[self.users] - values

    @classmethod
    def from_events(
        cls,
        users: int,
        user: NDArray[np.integer[Any]],
        item: Ints,
        behaviour: Ints,
        time: Longs,
        session: Longs | None = None,
        rating: Floats | None = None,
    ) -> Histories:
        """Builds histories of ``users`` users from loose events in any order."""
        named = np.zeros(len(user), dtype=np.int64) if session is None else session
        rated = np.full(len(user), np.nan, dtype=np.float32) if rating is None else rating.astype(np.float32)
        last = () if np.isnan(rated).all() else (rated,)
        order = np.lexsort((*last, behaviour, item, named, time, user))
        return cls(
            indptr_of(np.bincount(user, minlength=users)),
            item[order].astype(np.int32),
            behaviour[order].astype(np.int32),
            time[order].astype(np.int64),
            named[order],
            rated[order],
        )


def basket_ids(histories: Histories) -> Longs:
    """Number of the basket of every event, counted through all users, [events].

    A basket is a run of events of one session; where the log does not name the session of both of two consecutive
    events, a pause ends it.
    """
    if not len(histories.items):
        return np.empty(0, dtype=np.int64)
    before, after = histories.sessions[:-1], histories.sessions[1:]
    pause = np.diff(histories.times) > BASKET_GAP_SECONDS
    ends = np.where((before != 0) & (after != 0), before != after, pause)
    return indptr_of((np.diff(histories.users) != 0) | ends)
