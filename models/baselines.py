"""What the model must beat: popular items, the user's own decayed repeats, item-kNN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import Neighbours, together
from models.histories import DAY, Histories, Ints, Longs

POPULAR_DAYS = 7
REPEAT_HALF_LIFE_DAYS = 90.0


def popular_items(histories: Histories, now: int, n: int, days: int = POPULAR_DAYS) -> Ints:
    """The ``n`` items with most events in the ``days`` before ``now`` (seconds), best first; may be fewer."""
    recent = histories.between(now - days * DAY, now)
    count = np.bincount(recent.items[recent.items >= 0])
    order = np.lexsort((np.arange(len(count)), -count))
    return order[: min(n, np.count_nonzero(count))].astype(np.int32)


def popular(histories: Histories, now: int, n: int) -> Ints:
    """The same popular items for everyone, [users, n]."""
    best = popular_items(histories, now, n)
    padded = np.pad(best, (0, n - len(best)), constant_values=-1)
    return np.tile(padded, (len(histories), 1))


def own_repeats(histories: Histories, now: int, n: int, half_life_days: float = REPEAT_HALF_LIFE_DAYS) -> Ints:
    """Each user's items by decayed count ``sum 2 ** (-age / half life)``, then popular ones, [users, n]."""
    past = histories.select((histories.times < now) & (histories.items >= 0))
    items = int(past.items.max(initial=0)) + 1
    decay = np.exp2(-(now - past.times) / DAY / half_life_days)
    keys, pair = np.unique(past.users.astype(np.int64) * items + past.items, return_inverse=True)
    score = np.bincount(pair, decay, minlength=len(keys)).astype(np.float64)
    return _filled(
        ranked_lists(len(histories), keys // items, (keys % items).astype(np.int32), score, n),
        popular_items(histories, now, 2 * n),
    )


def item_knn(histories: Histories, near: Neighbours, now: int, n: int) -> Ints:
    """Items that go with each user's recent items, seen ones too, then popular ones, [users, n]."""
    found = together(histories, near, now)
    users = np.repeat(np.arange(len(histories)), np.diff(found.indptr))
    return _filled(
        ranked_lists(len(histories), users, found.items, found.scores.astype(np.float64), n),
        popular_items(histories, now, 2 * n),
    )


def ranked_lists(users: int, user: Longs, item: Ints, score: NDArray[np.float64], n: int) -> Ints:
    """The ``n`` best of loose (user, item, score) rows for each user, ties by item, [users, n]."""
    order = np.lexsort((item, -score, user))
    user, item = user[order], item[order]
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    lists = np.full((users, n), -1, dtype=np.int32)
    lists[user[rank < n], rank[rank < n]] = item[rank < n]
    return lists


def _filled(lists: Ints, spare: Ints) -> Ints:
    """Fills the ``-1`` at the end of each list with items of ``spare`` that it does not hold, in order."""
    users, n = lists.shape
    row, _ = np.nonzero(lists >= 0)
    own = lists[lists >= 0]
    extra = np.tile(spare, users)
    extra_row = np.repeat(np.arange(users), len(spare))
    base = int(max(lists.max(initial=0), spare.max(initial=0))) + 1
    fresh = ~np.isin(extra_row * base + extra, row * base + own)
    item = np.concatenate([own, extra[fresh]])
    owner = np.concatenate([row, extra_row[fresh]])
    order = np.argsort(owner, kind="stable")
    # Equal scores would tie by item, so the place in the concatenation is the score.
    place = -np.arange(len(order), dtype=np.float64)
    return ranked_lists(users, owner[order], item[order], place, n)
