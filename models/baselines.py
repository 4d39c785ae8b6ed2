"""What the model must beat: popular items, the user's own decayed repeats, item-kNN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Baselines, Cooccurrence
from models.behaviours import Known
from models.cooccurrence import Neighbours, cooccurrences
from models.histories import DAY, Histories, Ints, Longs
from models.ragged import first_in_group, row_of_each

DEFAULT = Baselines()

ITEM_KNN, ALS = "baseline/item_knn", "baseline/als"
"""Names in the tables of the baselines whose parameters are the model's own, or fixed."""


def popular_name(settings: Baselines) -> str:
    """Name in the tables of `popular`: other days are another baseline."""
    return f"baseline/popular_{settings.popular_days}_days"


def own_repeats_name(settings: Baselines) -> str:
    """Name in the tables of `own_repeats`: another half-life is another baseline."""
    return f"baseline/own_repeats_{settings.repeat_half_life_days:g}_days"


def popular_items(histories: Histories, now: int, n: int, settings: Baselines = DEFAULT) -> Ints:
    """The ``n`` items with most events in the last days before ``now`` (seconds), best first; may be fewer."""
    recent = histories.between(now - settings.popular_days * DAY, now)
    count = np.bincount(recent.items[recent.items >= 0])
    order = np.lexsort((np.arange(len(count)), -count))
    return order[: min(n, np.count_nonzero(count))].astype(np.int32)


def popular(histories: Histories, now: int, n: int, settings: Baselines = DEFAULT) -> Ints:
    """The same popular items for everyone, [users, n]."""
    best = popular_items(histories, now, n, settings)
    padded = np.pad(best, (0, n - len(best)), constant_values=-1)
    return np.tile(padded, (len(histories), 1))


def own_repeats(histories: Histories, now: int, n: int, settings: Baselines = DEFAULT) -> Ints:
    """Each user's items by decayed count ``sum 2 ** (-age / half life)``, then popular ones, [users, n]."""
    past = histories.before(now)
    items = int(past.items.max(initial=0)) + 1
    decay = np.exp2(-past.ages(now) / settings.repeat_half_life_days)
    keys, pair = np.unique(past.users * items + past.items, return_inverse=True)
    score = np.bincount(pair, decay, minlength=len(keys)).astype(np.float64)
    return _filled(
        ranked_lists(len(histories), keys // items, (keys % items).astype(np.int32), score, n),
        popular_items(histories, now, 2 * n, settings),
    )


def item_knn(
    known: Known,
    neighbours: Neighbours,
    n: int,
    cooccurrence: Cooccurrence,
    settings: Baselines = DEFAULT,
) -> Ints:
    """Items that go with each user's recent items, seen ones too, then popular ones, [users, n]."""
    pairs = cooccurrences(known, neighbours, cooccurrence)
    return _filled(
        ranked_lists(len(known.past), row_of_each(pairs.indptr), pairs.items, pairs.scores.astype(np.float64), n),
        popular_items(known.targets, known.now, 2 * n, settings),
    )


def ranked_lists(users: int, user: Longs, item: Ints, score: NDArray[np.float64], n: int) -> Ints:
    """The ``n`` best of loose (user, item, score) rows for each user, ties by item, [users, n]."""
    index, rank = first_in_group(user, n, -score, item)
    lists = np.full((users, n), -1, dtype=np.int32)
    lists[user[index], rank] = item[index]
    return lists


def _filled(lists: Ints, spare: Ints) -> Ints:
    """Fills the ``-1`` at the end of each list with items of ``spare`` that it does not hold, in order."""
    users, n = lists.shape
    row, _ = np.nonzero(lists >= 0)
    listed = lists[lists >= 0]
    extra = np.tile(spare, users)
    extra_row = np.repeat(np.arange(users), len(spare))
    base = int(max(lists.max(initial=0), spare.max(initial=0))) + 1
    fresh = ~np.isin(extra_row * base + extra, row * base + listed)
    item = np.concatenate([listed, extra[fresh]])
    owner = np.concatenate([row, extra_row[fresh]])
    order = np.argsort(owner, kind="stable")
    # equal scores would tie by item, so the rank in the concatenation is the score
    score = -np.arange(len(order), dtype=np.float64)
    return ranked_lists(users, owner[order], item[order], score, n)
