"""How lists are measured on the test window: every metric by segment, a value a user, and gains on the same users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models import metrics
from models.behaviours import Known
from models.catalogue import CATEGORY, Catalogue
from models.excluded import Excluded
from models.histories import Flags, Ints
from models.item_state import DailyCounts, unit_rows
from models.kernel import ItemIndex
from models.metrics import Doubles, Relevant
from models.ragged import Floats, find, kept, row_of_each

N = 20
"""Length of the lists that are compared."""
LENGTHS = (10, 20)
GATE = "ndcg@10"
"""The metric that decides."""
ALL = "all"
NEW, REPEATED = "items: new to the user", "items: repeated"
RECENT_TEXTS = 50
"""Newest events whose texts stand for a user, where the text alone recommends."""
FEW_USERS = 5
"""An item that fewer users had is one of few events."""

Values = dict[tuple[str, str], Doubles]
"""Every metric of one recommender, by (segment, metric): a value a user, NaN where it says nothing of them."""


@dataclass(frozen=True)
class Yardstick:
    """What is known of the items and of everyone when the test window begins: segments are drawn by it."""

    events: Floats  # [items], target events of the days that popularity counts
    is_head: Flags  # [items], the tenth of the sold items with most of them
    has_few: Flags  # [items], fewer than FEW_USERS users had it
    categories: Ints  # [items]
    median_length: float  # events of a user, of those who are judged

    @classmethod
    def of(cls, catalogue: Catalogue, counts: DailyCounts, users: Floats, median_length: float) -> Yardstick:
        """From the daily counts of the items, and how many ``users`` [items] had each."""
        events = np.bincount(counts.items, counts.events, minlength=len(catalogue)).astype(np.float32)
        sold = events[events > 0]
        head = events >= np.quantile(sold, 0.9) if len(sold) else events > 0
        return cls(events, head, users < FEW_USERS, catalogue.codes[CATEGORY], median_length)


def segments(known: Known, relevant: Relevant, yardstick: Yardstick) -> dict[str, Relevant]:
    """Parts of what is relevant, by whether the item is new to the user, by item and by user."""
    items = len(yardstick.events)
    owner, item = row_of_each(relevant.indptr), relevant.items
    is_repeated = known.had(owner, item, items)
    is_short = known.past.lengths < yardstick.median_length
    has_target = known.targets.lengths > 0
    parts = {
        NEW: ~is_repeated,
        REPEATED: is_repeated,
        "items: head": yardstick.is_head[item],
        "items: tail": ~yardstick.is_head[item],
        "items: few users": yardstick.has_few[item],
        "users: short history": is_short[owner],
        "users: long history": ~is_short[owner],
        "users: without a target event": ~has_target[owner],
    }
    return {ALL: relevant} | {name: relevant.select(keep) for name, keep in parts.items()}


def measured(lists: Ints, known: Known, parts: Mapping[str, Relevant], yardstick: Yardstick) -> Values:
    """Every metric of one recommender's ``lists`` [users, N] in each of the ``parts`` that `segments` gave."""
    values: Values = {}
    for segment, part in parts.items():
        for n in LENGTHS:
            for name, of_users in metrics.accuracy(lists, part, n).items():
                values[segment, f"{name}@{n}"] = of_users
    top = lists[:, :10]
    values[ALL, "novelty@10"] = metrics.novelty(top, yardstick.events)
    values[ALL, "diversity@10"] = metrics.diversity(top, yardstick.categories)
    shown = top >= 0
    is_new = shown & ~known.had(np.arange(len(lists))[:, None], top, len(yardstick.events))
    values[ALL, "new_share@10"] = is_new.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
    return values


def gains(challenger: Values, rival: Values) -> dict[str, Doubles]:
    """By how much the challenger's `GATE` is higher than the rival's in each segment, on the same users, [users]."""
    return {segment: challenger[segment, GATE] - rival[segment, GATE] for segment, name in rival if name == GATE}


@dataclass(frozen=True)
class TextAlone:
    """Recommends the items whose texts are closest to the mean of those of the user's newest events.

    Only the items that the tower was tuned for take part: then vectors before and after tuning compare.
    """

    name: str
    items: Ints  # [taking part], ascending
    vectors: Floats  # [taking part, size], unit length, centred

    @classmethod
    def of(cls, name: str, vectors: Floats, takes_part: Flags) -> TextAlone:
        """From the texts' ``vectors`` [items, size]."""
        items = np.flatnonzero(takes_part).astype(np.int32)
        return cls(name, items, unit_rows(vectors[items] - vectors[items].mean(axis=0)))

    def lists(self, known: Known, excluded: Excluded) -> Ints:
        """[users, N] without what is ``excluded`` for each; ``-1`` pads."""
        recent = known.past.last(RECENT_TEXTS)
        row = find(self.items.astype(np.int64), recent.items.astype(np.int64))
        there = row < len(self.items)
        of_users = np.zeros((len(recent), self.vectors.shape[1]), dtype=np.float32)
        np.add.at(of_users, recent.users[there], self.vectors[row[there]])
        row = find(self.items.astype(np.int64), excluded.items.astype(np.int64))
        there = row < len(self.items)
        among = Excluded(kept(excluded.indptr, there), row[there].astype(np.int32))
        best = ItemIndex.of(self.vectors).best(of_users, N, among)
        return np.where(best >= 0, self.items[best], -1).astype(np.int32)


def by_name(values: Mapping[tuple[str, str], Doubles]) -> dict[str, Doubles]:
    """The same under one name each, ``segment|metric``, for a row of a table."""
    return {f"{segment}|{metric}": of_users for (segment, metric), of_users in values.items()}
