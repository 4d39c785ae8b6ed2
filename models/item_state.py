"""The state of the items as of one moment: built in one way for training, for evaluation and for the night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalogue import CATEGORY, Catalogue
from models.cooccurrence import Neighbours
from models.histories import DAY, Flags, Floats, Histories, Ints
from models.pairs import Pairs

POPULARITY_DAYS = (3, 7, 28, 91)
"""Windows over which an item's target events are counted, of `Popularity`."""


@dataclass(frozen=True)
class DailyCounts:
    """Target events of each item on each day: what a group-by over the events gives."""

    items: Ints  # [rows]
    days: Ints  # [rows], days since 1970
    events: Ints  # [rows]

    @classmethod
    def from_histories(cls, histories: Histories) -> DailyCounts:
        """Counts the events of catalogue items."""
        known = histories.items >= 0
        items, days = histories.items[known].astype(np.int64), histories.times[known] // DAY
        base = int(days.max(initial=0)) + 1
        keys, counts = np.unique(items * base + days, return_counts=True)
        return cls((keys // base).astype(np.int32), (keys % base).astype(np.int32), counts.astype(np.int32))


@dataclass(frozen=True)
class Popularity:
    """Target events of each item in the last days before now, [items] each."""

    last_3: Floats
    last_7: Floats
    last_28: Floats
    last_91: Floats


@dataclass(frozen=True)
class Habits:
    """How each item usually has events again, pulled towards its product type where little is known, [items] each."""

    users: Floats
    events_per_user: Floats
    again: Floats  # share of the users that came back for it
    again_within_week: Floats  # share of the events that were followed by another of the user within 7 days
    gap: Floats  # days between two events of one user, geometric mean


@dataclass(frozen=True)
class ItemFacts:
    """What the ranker's features know of each item apart from any user."""

    codes: Ints  # [attributes, items], codes of models.catalogue.ATTRIBUTES
    popularity: Popularity
    habits: Habits


@dataclass(frozen=True)
class ItemState:
    """Everything about the items as of one moment. All arrays are in the order of the catalogue."""

    vectors: Floats  # [items, size], unit length, zeros for an item without one
    allowed: Flags  # [items], what may be recommended
    neighbours: Neighbours
    facts: ItemFacts
    by_popularity: Ints  # [allowed items], all of them, most popular first

    @property
    def categories(self) -> Ints:
        """Category code of each item, [items]."""
        categories: Ints = self.facts.codes[CATEGORY]
        return categories


def item_state(
    catalogue: Catalogue,
    vectors: Floats,
    counts: DailyCounts,
    neighbours: Neighbours,
    habits: Habits,
    now: int,
    blocked: Flags | None = None,
) -> ItemState:
    """The items as of ``now`` (seconds): allowed is what is available, has a vector and is not ``blocked`` [items]."""
    allowed = catalogue.available & vectors.any(axis=1)
    if blocked is not None:
        allowed &= ~blocked
    popularity = popularity_of(counts, now, len(catalogue))
    return ItemState(
        vectors,
        allowed,
        neighbours,
        ItemFacts(catalogue.codes, popularity, habits),
        popularity_order(popularity, allowed),
    )


def popularity_of(counts: DailyCounts, now: int, items: int) -> Popularity:
    """Counts of the whole UTC days before ``now`` (seconds); the day that holds ``now`` is not over."""
    age = now // DAY - counts.days

    def last(days: int) -> Floats:
        inside = (age > 0) & (age <= days)
        summed = np.bincount(counts.items[inside], counts.events[inside], minlength=items)
        return summed.astype(np.float32)

    return Popularity(*map(last, POPULARITY_DAYS))


def popularity_order(popularity: Popularity, allowed: Flags) -> Ints:
    """All allowed items by events of the last 7, then 28, then 91 days, ties by item."""
    order = np.lexsort((np.arange(len(allowed)), -popularity.last_91, -popularity.last_28, -popularity.last_7))
    return order[allowed[order]].astype(np.int32)


def habits_of(histories: Histories, now: int, types: Ints, prior: float) -> Habits:
    """Habits from all target events before ``now`` (seconds).

    Args:
        histories: Target events of all users.
        now: End of what is known, seconds.
        types: Product type of each item, [items].
        prior: Observations at which an item's own rate weighs as much as its type's.
    """
    past = histories.before(now)
    pairs = Pairs.of(past.users, past.items, len(types))
    item = pairs.keys % len(types)
    same = np.diff(pairs.of_each) == 0
    time = past.times[pairs.order]
    gap = (np.diff(time) / DAY)[same]
    gap_item = past.items[pairs.order][1:][same]
    # an event counts for the weekly rate once its week is over
    following = np.append(np.where(same, np.diff(time), np.iinfo(np.int64).max), np.iinfo(np.int64).max)
    over = time <= now - 7 * DAY
    weekly_item = past.items[pairs.order][over]
    users = np.bincount(item, minlength=len(types))
    events = np.bincount(past.items, minlength=len(types))
    return Habits(
        users.astype(np.float32),
        (events / np.maximum(users, 1)).astype(np.float32),
        _shrunk(item, pairs.counts > 1, types, prior),
        _shrunk(weekly_item, following[over] < 7 * DAY, types, prior),
        np.exp(_shrunk(gap_item, np.log(np.maximum(gap, 0.1)), types, prior)),
    )


def _shrunk(item: NDArray[Any], value: NDArray[Any], types: Ints, prior: float) -> Floats:
    """Mean ``value`` of each item with ``prior`` observations of its type's mean, itself so pulled to all."""
    whole = float(np.mean(value)) if len(value) else 0.0
    type_sum = np.bincount(types[item], value, minlength=int(types.max(initial=0)) + 1)
    type_count = np.bincount(types[item], minlength=len(type_sum))
    type_mean = (type_sum + prior * whole) / (type_count + prior)
    total = np.bincount(item, value, minlength=len(types))
    count = np.bincount(item, minlength=len(types))
    return ((total + prior * type_mean[types]) / (count + prior)).astype(np.float32)
