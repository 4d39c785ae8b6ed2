"""The state of the items as of one moment: built in one way for training, for evaluation and for the night."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.behaviours import Known
from models.catalogue import CATEGORY, Catalogue
from models.cooccurrence import Neighbours
from models.histories import DAY, Flags, Floats, Histories, Ints
from models.pairs import Pairs

if TYPE_CHECKING:
    from models.approximate import ApproximateIndex
    from models.kernel import ItemIndex

POPULARITY_DAYS = (3, 7, 28, 91)
"""Windows over which an item's target events are counted, of `Popularity`."""
STRENGTH_DAYS = (1, 7, 28)
"""Windows over which the strengths of all of its events are summed."""


@dataclass(frozen=True)
class DailyCounts:
    """Events of each item on each day: what a group-by over them gives."""

    items: Ints  # [rows]
    days: Ints  # [rows], days since 1970
    events: Ints  # [rows], target events
    strengths: Floats  # [rows], of all events (`models.behaviours`)

    @classmethod
    def of(cls, known: Known) -> DailyCounts:
        """Counts the events of everyone."""
        past = known.past
        days = past.times // DAY
        base = int(days.max(initial=0)) + 1
        keys, row = np.unique(past.items * base + days, return_inverse=True)
        are_targets = known.behaviours.are_targets(past)
        return cls(
            (keys // base).astype(np.int32),
            (keys % base).astype(np.int32),
            np.bincount(row[are_targets], minlength=len(keys)).astype(np.int32),
            np.bincount(row, known.strengths, minlength=len(keys)).astype(np.float32),
        )


@dataclass(frozen=True)
class Popularity:
    """Target events of each item in the last days before now, and strengths of all events, [items] each."""

    last_3: Floats
    last_7: Floats
    last_28: Floats
    last_91: Floats
    strength_1: Floats
    strength_7: Floats
    strength_28: Floats
    days_since_first: Floats  # since the first event of any kind, at most 91; of an item without one too


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
    has_id: Flags  # [items], whether the model knows it by more than its text


@dataclass(frozen=True)
class Approximation:
    """Lists of the allowed items (`models.approximate.make_lists`), of which each user looks into some."""

    of_vectors: Any
    of_texts: Any
    probes: int


@dataclass(frozen=True)
class ItemState:
    """Everything about the items as of one moment. All arrays are in the order of the catalogue."""

    vectors: Floats  # [items, size], zeros for an item without one
    texts: Floats  # [items, text size], unit vectors of what the texts alone say (`models.text_space`)
    allowed: Flags  # [items], what may be recommended
    neighbours: Neighbours
    facts: ItemFacts
    by_popularity: Ints  # [allowed items], all of them, most popular first
    approximation: Approximation | None = None  # None: items are searched exactly

    @cached_property
    def directions(self) -> Floats:
        """The vectors at unit length, [items, size]: how much is taken of an item says nothing of what it is like."""
        return unit_rows(self.vectors)

    @cached_property
    def matching(self) -> ItemIndex | ApproximateIndex:
        """Of the vectors, for users' vectors."""
        return self._index(self.vectors, self.approximation.of_vectors if self.approximation else None)

    @cached_property
    def matching_texts(self) -> ItemIndex | ApproximateIndex:
        """Of the texts, for what users' texts say."""
        return self._index(self.texts, self.approximation.of_texts if self.approximation else None)

    def _index(self, vectors: Floats, lists: Any) -> ItemIndex | ApproximateIndex:
        from models.kernel import ItemIndex  # brings torch, which takes seconds: only the executors match

        exact = ItemIndex.of(vectors, self.allowed)
        if self.approximation is None:
            return exact
        from models.approximate import ApproximateIndex

        return ApproximateIndex.of(exact, lists, self.approximation.probes)

    @property
    def categories(self) -> Ints:
        """Category code of each item, [items]."""
        categories: Ints = self.facts.codes[CATEGORY]
        return categories


def unit_rows(vectors: Floats) -> Floats:
    """The vectors [rows, size] at unit length; zeros stay zeros."""
    made: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return made


def item_state(
    catalogue: Catalogue,
    vectors: Floats,
    texts: Floats,
    counts: DailyCounts,
    neighbours: Neighbours,
    habits: Habits,
    has_id: Flags,
    allowed: Flags,
    now: int,
) -> ItemState:
    """The items as of ``now`` (seconds), of which those ``allowed`` [items] may be recommended."""
    popularity = popularity_of(counts, now, len(catalogue))
    return ItemState(
        vectors,
        texts,
        allowed,
        neighbours,
        ItemFacts(catalogue.codes, popularity, habits, has_id),
        popularity_order(popularity, allowed),
    )


def popularity_of(counts: DailyCounts, now: int, items: int) -> Popularity:
    """Counts of the whole UTC days before ``now`` (seconds); the day that holds ``now`` is not over."""
    age = now // DAY - counts.days

    def last(days: int, of_rows: NDArray[Any]) -> Floats:
        inside = (age > 0) & (age <= days)
        summed = np.bincount(counts.items[inside], of_rows[inside], minlength=items)
        return summed.astype(np.float32)

    first = np.full(items, max(POPULARITY_DAYS), dtype=np.float32)
    inside = (age > 0) & (age <= max(POPULARITY_DAYS))
    oldest = np.zeros(items, dtype=np.float32)
    np.maximum.at(oldest, counts.items[inside], age[inside].astype(np.float32))
    seen = oldest > 0
    first[seen] = oldest[seen]
    targets = [last(days, counts.events) for days in POPULARITY_DAYS]
    strengths = [last(days, counts.strengths) for days in STRENGTH_DAYS]
    return Popularity(*(*targets, *strengths, first))


def popularity_order(popularity: Popularity, allowed: Flags) -> Ints:
    """All allowed items by target events of the last 7, 28, then 91 days, then by all events, ties by item."""
    order = np.lexsort(
        (
            np.arange(len(allowed)),
            -popularity.strength_28,
            -popularity.last_91,
            -popularity.last_28,
            -popularity.last_7,
        )
    )
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
