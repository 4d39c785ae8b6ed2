"""What a shop's behaviours and ratings mean: which events are predicted, and how much an event says of its item.

An event says as much as its behaviour weighs, times where its rating lies on the scale: what was rated lowest says
nothing, what was rated highest or not at all counts in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ratings import Scale
from models.histories import Flags, Floats, Histories, Ints, Longs


def shares(ratings: Floats, scale: Scale | None) -> Floats:
    """What ratings leave of a weight, of any shape: 0 at the scale's lowest end, 1 at its highest; 1 without one.

    A rating beyond the scale, of a time when it was another one, counts as its end.
    """
    if scale is None:
        return np.ones_like(ratings)
    left: Floats = np.where(np.isnan(ratings), 1, np.clip(scale.part(ratings), 0, 1)).astype(np.float32)
    return left


@dataclass(frozen=True)
class Behaviours:
    """The behaviours of the settings, by number."""

    names: tuple[str, ...]
    weights: tuple[float, ...]  # of an event of each, where the strongest target weighs 1
    targets: tuple[int, ...]  # what the model predicts
    others: tuple[int, ...] = ()  # those besides that users had when the model was trained: the ranker reads them
    scale: Scale | None = None  # of the ratings; None: a rating is an event, whatever its value

    @classmethod
    def of(cls, weights: Mapping[str, float], targets: Sequence[str], scale: Scale | None = None) -> Behaviours:
        """Those of the settings `ingest.behaviours`, `ingest.targets` and `ingest.scale`, before any event is seen."""
        names = tuple(weights)
        numbers = tuple(names.index(name) for name in targets)
        whole = max((weights[name] for name in targets), default=1.0) or 1.0
        return cls(names, tuple(weight / whole for weight in weights.values()), numbers, (), scale)

    def seen_in(self, histories: Histories) -> Behaviours:
        """The same, with those besides the targets that these events are of and that weigh something."""
        there = np.unique(histories.behaviours[histories.behaviours >= 0]).tolist()
        others = tuple(each for each in there if each not in self.targets and self.weights[each] > 0)
        return replace(self, others=others)

    @property
    def other_names(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(self.names[each] for each in self.others)

    def are_targets(self, histories: Histories) -> Flags:
        """Which events are target events, [events]: of a target behaviour, and not rated low.

        As `contracts.ratings.TargetEvents` has it for tables.
        """
        return histories.are_of(self.targets) & ~self.are_low(histories.ratings)

    def strengths(self, histories: Histories) -> Floats:
        """How much each event says of its item, [events]: its behaviour's weight, times the share of its rating.

        0 where the settings do not name the behaviour, and for the lowest rating.
        """
        by_number = np.array([*self.weights, 0.0], dtype=np.float32)  # the last one serves -1
        strengths: Floats = by_number[histories.behaviours] * shares(histories.ratings, self.scale)
        return strengths

    def disliked(self, histories: Histories) -> Histories:
        """The events by which users rated an item last, of those ratings that are too low for a target event."""
        rated = histories.select(~np.isnan(histories.ratings))
        order = np.lexsort((rated.items, rated.users))  # a user's events of an item keep their order in time
        user, item = rated.users[order], rated.items[order]
        is_last = np.ones(len(order), dtype=np.bool_)
        is_last[:-1] = (np.diff(user) != 0) | (np.diff(item) != 0)
        last = np.zeros(len(order), dtype=np.bool_)
        last[order[is_last]] = True
        return rated.select(last & self.are_low(rated.ratings))

    def are_low(self, ratings: Floats) -> Flags:
        """Which ratings are too low for a target event; none is not."""
        if self.scale is None:
            return np.zeros(ratings.shape, dtype=np.bool_)
        low: Flags = ratings < np.float32(self.scale.least_target)
        return low


@dataclass(frozen=True)
class Known:
    """What is known of some users before a moment."""

    past: Histories  # events that say something, of all behaviours, of catalogue items
    behaviours: Behaviours
    now: int  # seconds
    disliked: Histories | None = None  # the events by which users rated an item last, and low; None: there are none

    @classmethod
    def of(cls, histories: Histories, behaviours: Behaviours, now: int) -> Known:
        """What happened before ``now`` (seconds)."""
        past = histories.before(now)
        disliked = behaviours.disliked(past) if behaviours.scale else None
        return cls(past.select(behaviours.strengths(past) > 0), behaviours, now, disliked)

    @cached_property
    def strengths(self) -> Floats:
        """How much each event says, [events of the past]."""
        return self.behaviours.strengths(self.past)

    @cached_property
    def targets(self) -> Histories:
        """The target events."""
        return self.past.select(self.behaviours.are_targets(self.past))

    @property
    def liked(self) -> Histories:
        """The past without the events that are rated low."""
        return self.past.select(~self.behaviours.are_low(self.past.ratings)) if self.behaviours.scale else self.past

    def had(self, users: Longs, items: Ints, size: int) -> Flags:
        """Whether ``users`` [pairs] had any event of ``items`` [pairs]; of ``size`` items in the catalogue."""
        had: Flags = np.isin(users * size + items, self.past.users * size + self.past.items)
        return had | np.isin(users * size + items, self.disliked_keys(size))

    def disliked_keys(self, size: int) -> Longs:
        """``user * size + item`` of the items that users have rated low; of ``size`` items in the catalogue."""
        if self.disliked is None:
            return np.zeros(0, dtype=np.int64)
        return self.disliked.users * size + self.disliked.items

    def only(self, items: Flags) -> Known:
        """Only the events of some of the ``items`` [items of the catalogue]."""
        low = None if self.disliked is None else self.disliked.select(items[self.disliked.items])
        return Known(self.past.select(items[self.past.items]), self.behaviours, self.now, low)

    def take(self, users: NDArray[np.integer[Any]]) -> Known:
        """Only the given users, in the given order."""
        low = None if self.disliked is None else self.disliked.take(users)
        return Known(self.past.take(users), self.behaviours, self.now, low)
