"""The contract of a baseline, and how its scores become lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Baselines
from models.behaviours import Known
from models.excluded import Excluded
from models.histories import DAY, Histories, Ints, Longs
from models.ragged import find, first_in_group

Entries = tuple[Longs, Ints, NDArray[np.float64]]
"""Loose rows of a user, an item and its score, higher is better; a user has an item at most once."""

BLOCK_USERS = 256
"""Users whose scores of all items are in memory at once."""


class Baseline(ABC):
    """Fitted on everyone, it gives lists to any users, alone or among others, from what is known of them.

    Lists have no item twice and none that is excluded. Where a method has nothing more to say, popular items follow.
    """

    name: str  # in the tables
    popular: Ints  # all items that anybody had, most popular first

    def __init__(self, rules: Baselines) -> None:
        self.rules = rules

    def fit(self, everyone: Known, items: int) -> Self:
        """Learns from what is known of everyone, in a catalogue of so many ``items``; gives itself."""
        self.knowing(popular_items(everyone, items, self.rules.popular_days), items)
        self._learn(everyone)
        return self

    def knowing(self, popular: Ints, items: int) -> Self:
        """Takes the ``popular`` of so many items as given: enough for one that learns nothing else; gives itself."""
        self.items = items
        self.popular = popular
        return self

    def recommend(self, known: Known, n: int, excluded: Excluded) -> Ints:
        """Lists, best first, ties by item, [users, n]; ``-1`` pads where no item is left.

        Args:
            known: Of these users, as of the same moment as of everyone.
            n: Length of a list.
            excluded: What each of them must not get.
        """
        user, item, score = self._scores(known, n, excluded)
        may = find(np.sort(excluded.keys(self.items)), user * self.items + item) == len(excluded.items)
        lists = ranked_lists(len(known.past), user[may], item[may], score[may], n)
        return filled(lists, self.popular, excluded, self.items)

    @abstractmethod
    def _learn(self, everyone: Known) -> None:
        """What the method keeps of everyone."""

    @abstractmethod
    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:
        """Scores of the items that the method has something to say of; excluded ones are left out afterwards."""


def popular_items(everyone: Known, items: int, days: int) -> Ints:
    """Items by target events of the last ``days``, then of all time, then by all events, ties by item."""
    targets, past = everyone.targets, everyone.past
    recent = targets.times >= everyone.now - days * DAY
    return most_first(
        np.bincount(targets.items[recent], minlength=items),
        np.bincount(targets.items, minlength=items),
        np.bincount(past.items, everyone.strengths, minlength=items),
    )


def most_first(recent: NDArray[Any], ever: NDArray[Any], said: NDArray[Any]) -> Ints:
    """Items of which something is ``said``, by recent target events, then those of all time, then by what is said.

    All three are [items]; ties by item.
    """
    order = np.lexsort((np.arange(len(said)), -said, -ever, -recent))
    return order[: np.count_nonzero(said)].astype(np.int32)


def ranked_lists(users: int, user: Longs, item: Ints, score: NDArray[np.float64], n: int) -> Ints:
    """The ``n`` best of loose (user, item, score) rows for each user, ties by item, [users, n]."""
    index, rank = first_in_group(user, n, -score, item)
    lists = np.full((users, n), -1, dtype=np.int32)
    lists[user[index], rank] = item[index]
    return lists


def best_of(scores: NDArray[Any], start: int, n: int, excluded: Excluded, items: int) -> Entries:
    """The ``n`` best that may be listed of a block of dense ``scores`` [users, items], users counted from ``start``."""
    block, size = scores.shape
    keys = excluded.keys(items)
    inside = keys[(keys >= start * items) & (keys < (start + block) * items)] - start * items
    scores = np.array(scores, dtype=np.float64)
    scores[inside // items, inside % items] = -np.inf
    n = min(n, size)
    best = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    # equal scores around the n-th place would fall either way: the smaller item number wins
    last = np.take_along_axis(scores, best, axis=1).min(axis=1, keepdims=True)
    user, item = np.nonzero((scores >= last) & np.isfinite(scores))
    found: NDArray[np.float64] = scores[user, item]
    return (user + start).astype(np.int64), item.astype(np.int32), found


def joined(parts: list[Entries]) -> Entries:
    """Loose rows of several blocks."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0)
    user, item, score = zip(*parts, strict=True)
    return np.concatenate(user), np.concatenate(item), np.concatenate(score)


def filled(lists: Ints, spare: Ints, excluded: Excluded, items: int) -> Ints:
    """Fills the ``-1`` at the end of each list with items of ``spare`` that it may and does not hold, in order."""
    n = lists.shape[1]
    short = np.flatnonzero((lists < 0).any(axis=1))
    if not len(short):
        return lists
    most = n + int(np.diff(excluded.indptr).max(initial=0))
    spare = spare[:most]
    listed_user, _ = np.nonzero(lists[short] >= 0)
    listed = lists[short][lists[short] >= 0]
    added_user = np.repeat(np.arange(len(short)), len(spare))
    added = np.tile(spare, len(short))
    taken = np.concatenate([short[listed_user] * items + listed, excluded.keys(items)])
    fresh = ~np.isin(short[added_user] * items + added, taken)
    user = np.concatenate([listed_user, added_user[fresh]])
    item = np.concatenate([listed, added[fresh]]).astype(np.int32)
    # those that are listed stand first, in their order, and so do those that are added
    place = np.arange(len(user), dtype=np.float64)
    made = lists.copy()
    made[short] = ranked_lists(len(short), user, item, -place, n)
    return made


def of_users(histories: Histories, items: int, weights: NDArray[Any]) -> Entries:
    """Sums of ``weights`` [events] by user and item."""
    keys, entry = np.unique(histories.users * items + histories.items, return_inverse=True)
    sums = np.bincount(entry, weights, minlength=len(keys)).astype(np.float64)
    return keys // items, (keys % items).astype(np.int32), sums
