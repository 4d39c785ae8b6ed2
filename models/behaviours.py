"""What a shop's behaviours mean: which of them are predicted, and how much an event of each says of its item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.histories import Flags, Floats, Histories, Ints, Longs


@dataclass(frozen=True)
class Behaviours:
    """The behaviours of the settings, by number."""

    names: tuple[str, ...]
    weights: tuple[float, ...]  # of an event of each, where the strongest target weighs 1
    targets: tuple[int, ...]  # what the model predicts
    others: tuple[int, ...] = ()  # those besides that users had when the model was trained: the ranker reads them

    @classmethod
    def of(cls, weights: Mapping[str, float], targets: Sequence[str]) -> Behaviours:
        """Those of the settings ``ingest.behaviours`` and ``ingest.targets``, before any event is seen."""
        names = tuple(weights)
        numbers = tuple(names.index(name) for name in targets)
        whole = max((weights[name] for name in targets), default=1.0) or 1.0
        return cls(names, tuple(weight / whole for weight in weights.values()), numbers)

    def seen_in(self, histories: Histories) -> Behaviours:
        """The same, with those besides the targets that these events are of and that weigh something."""
        there = np.unique(histories.behaviours[histories.behaviours >= 0]).tolist()
        others = tuple(each for each in there if each not in self.targets and self.weights[each] > 0)
        return Behaviours(self.names, self.weights, self.targets, others)

    @property
    def other_names(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(self.names[each] for each in self.others)

    def are_targets(self, histories: Histories) -> Flags:
        """Which events are of a target behaviour, [events]."""
        return histories.are_of(self.targets)

    def strengths(self, histories: Histories) -> Floats:
        """How much each event says of its item, [events]: its behaviour's weight; 0 where the settings name it not."""
        by_number = np.array([*self.weights, 0.0], dtype=np.float32)  # the last one serves -1
        strengths: Floats = by_number[histories.behaviours]
        return strengths


@dataclass(frozen=True)
class Known:
    """What is known of some users before a moment."""

    past: Histories  # events that say something, of all behaviours, of catalogue items
    behaviours: Behaviours
    now: int  # seconds

    @classmethod
    def of(cls, histories: Histories, behaviours: Behaviours, now: int) -> Known:
        """What happened before ``now`` (seconds)."""
        past = histories.before(now)
        return cls(past.select(behaviours.strengths(past) > 0), behaviours, now)

    @cached_property
    def strengths(self) -> Floats:
        """How much each event says, [events of the past]."""
        return self.behaviours.strengths(self.past)

    @cached_property
    def targets(self) -> Histories:
        """The target events."""
        return self.past.select(self.behaviours.are_targets(self.past))

    def had(self, users: Longs, items: Ints, size: int) -> Flags:
        """Whether ``users`` [pairs] had any event of ``items`` [pairs]; of ``size`` items in the catalogue."""
        had: Flags = np.isin(users * size + items, self.past.users * size + self.past.items)
        return had

    def only(self, items: Flags) -> Known:
        """Only the events of some of the ``items`` [items of the catalogue]."""
        return Known(self.past.select(items[self.past.items]), self.behaviours, self.now)

    def take(self, users: NDArray[np.integer[Any]]) -> Known:
        """Only the given users, in the given order."""
        return Known(self.past.take(users), self.behaviours, self.now)
