"""Which items go together: recency-weighted pairs of the same and of consecutive baskets, kept as neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from contracts.settings import Cooccurrence
from models.behaviours import Behaviours, Known
from models.histories import DAY, Floats, Histories, Ints, Longs, basket_ids
from models.ragged import first_in_group, indptr_of, row_of_each, starts_of


@dataclass(frozen=True)
class Neighbours:
    """The strongest neighbours of every item, strongest first; ``-1`` and weight 0 pad."""

    items: Ints  # [items, k]
    weights: Floats  # [items, k]


@dataclass(frozen=True)
class Cooccurrences:
    """Items that go with the recent items of users, by user and then item, in compressed-row form."""

    indptr: Longs  # [users + 1]
    items: Ints  # [pairs]
    scores: Floats  # [pairs]
    because: Ints  # [pairs], the history item that contributed most


def neighbours_of(known: Known, items: int, settings: Cooccurrence, *, itself: bool = False) -> Neighbours:
    """Neighbours of each of ``items`` items in the baskets of everyone.

    With ``itself``, an item is its own neighbour too, as far as it is taken again in one of the baskets that follow.

    A basket weighs by its age and by the logarithm of its size; an item in it by the root of the strongest of its
    events there, so that a pair of views weighs as one view. A pair of consecutive baskets weighs less than one of the
    same basket, and of baskets further apart less again: where baskets are of one item, the order is all there is.
    """
    past = known.past
    if not len(past.items):
        return _strongest(sparse.csr_array((items, items), dtype=np.float32), settings.neighbours)
    basket = basket_ids(past)
    first = starts_of(basket)
    owner, age = past.users[first], past.ages(known.now)[first]
    keys, entry = np.unique(basket * items + past.items, return_inverse=True)
    strength = np.zeros(len(keys), dtype=np.float32)
    np.maximum.at(strength, entry, np.sqrt(known.strengths))
    baskets = sparse.csr_array((strength, (keys // items, keys % items)), shape=(len(first), items))
    size = np.diff(baskets.indptr)
    recency = np.exp2(-age / settings.half_life_days)
    weight = (recency / np.log2(1.0 + size)).astype(np.float32)
    weighted = sparse.diags_array(weight) @ baskets
    pairs = (baskets.T @ weighted).tocsr()
    again = np.zeros(items, dtype=np.float32)
    for step in range(1, _steps(size, settings) + 1):
        follows = np.flatnonzero(owner[step:] == owner[:-step])
        share = np.float32(settings.next_basket * settings.step_decay ** (step - 1))
        along = (weighted[follows].T @ baskets[follows + step]).tocsr()
        pairs = pairs + share * (along + settings.backward * along.T)
        again += share * along.diagonal()
    decayed = np.asarray(baskets.T @ recency.astype(np.float32))
    # of an item with itself the products above count every event
    pairs = pairs - sparse.diags_array(pairs.diagonal() - (again if itself else 0))
    return _strongest(_normalised(pairs, decayed, settings), settings.neighbours)


def _steps(size: Longs, settings: Cooccurrence) -> int:
    """How many baskets ahead pairs are counted: as many as hold `following_items`, at least the next one."""
    return max(1, round(settings.following_items / float(size.mean())))


def _normalised(pairs: sparse.csr_array, decayed: Floats, settings: Cooccurrence) -> sparse.csr_array:
    """``count(a, b) / ((decayed(a) + prior) * (decayed(b) + prior) ** power)``.

    A pair below ``min_weight`` is left out as chance, or below a tenth of the item's own count, where that is less:
    of a rare item, one pair is all that will ever be known.
    """
    entries = pairs.tocoo()
    row, column = entries.coords
    enough = np.minimum(settings.min_weight, decayed[row] / 10)
    keep = (entries.data > 0) & (entries.data >= enough)
    row, column, count = row[keep], column[keep], entries.data[keep]
    norm = (decayed[row] + settings.prior) * (decayed[column] + settings.prior) ** settings.popularity_power
    return sparse.csr_array((count / norm, (row, column)), shape=pairs.shape)


def _strongest(weights: sparse.csr_array, k: int) -> Neighbours:
    """The ``k`` largest entries of each row, ties by column."""
    items, data, indptr = weights.shape[0], weights.data, weights.indptr
    least = np.zeros(items, dtype=data.dtype)
    # most entries cannot be among the largest of their row: sorting them too would take longer than counting them
    for full in np.flatnonzero(np.diff(indptr) > k):
        least[full] = np.partition(data[indptr[full] : indptr[full + 1]], -k)[-k]
    large = np.flatnonzero(data >= np.repeat(least, np.diff(indptr)))
    row, column, data = row_of_each(indptr)[large], weights.indices[large], data[large]
    index, rank = first_in_group(row, k, -data, column)
    strongest = Neighbours(np.full((items, k), -1, dtype=np.int32), np.zeros((items, k), dtype=np.float32))
    strongest.items[row[index], rank] = column[index]
    strongest.weights[row[index], rank] = data[index]
    return strongest


def leads(past: Histories, behaviours: Behaviours, settings: Cooccurrence) -> Floats:
    """How much each of the users' events leads to what comes next, [events].

    By its strength, and less by its age and by the baskets that came after it: what is older, and what was followed by
    more, leads less. Where logs have no times, the baskets tell.
    """
    # from the user's newest event on: where users come back after months, the last items still lead
    age, steps = past.behind_last(past.times) / DAY, past.behind_last(basket_ids(past))
    lead: Floats = np.exp2(-age / settings.recent_half_life_days) * settings.recent_step_decay**steps
    return lead * behaviours.strengths(past)


def cooccurrences(known: Known, neighbours: Neighbours, settings: Cooccurrence) -> Cooccurrences:
    """Sums the neighbours of each user's newest events, by how much these lead to what comes next."""
    from models.segments import grouped  # see there

    items, k = neighbours.items.shape
    past = known.past.last(settings.recent_events)
    decay = leads(past, known.behaviours, settings)
    user = np.repeat(past.users, k)
    cause = np.repeat(past.items, k)
    item = neighbours.items[past.items].ravel()
    score = (neighbours.weights[past.items] * decay[:, None]).ravel()
    real = item >= 0
    key, cause, score = user[real] * items + item[real], cause[real], score[real]
    of_users = indptr_of(np.bincount(user[real], minlength=len(past)))
    order, starts = grouped(of_users, item[real], items)
    key, cause, score = key[order], cause[order], score[order]
    if not len(starts):
        empty = np.empty(0, dtype=np.int32)
        return Cooccurrences(np.zeros(len(past) + 1, np.int64), empty, empty.astype(np.float32), empty)
    sums = np.add.reduceat(score, starts)
    pair = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(key))))
    largest = np.maximum.reduceat(score, starts)
    at_largest = np.flatnonzero(score == largest[pair])
    strongest = at_largest[starts_of(pair[at_largest])]
    return Cooccurrences(
        indptr_of(np.bincount(key[starts] // items, minlength=len(past))),
        (key[starts] % items).astype(np.int32),
        sums.astype(np.float32),
        cause[strongest],
    )
