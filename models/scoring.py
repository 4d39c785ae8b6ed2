"""The scoring kernel: arrays in, every user's top N out. No Spark, no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.cooccurrence import Neighbours, Together, together
from models.features import Candidates, ItemStats, Popularity, candidate_features
from models.histories import DAY, Floats, Histories, Ints, Longs
from models.ranker import Caps, Ranker, generate
from models.user_encoder import UserEncoder, encode_users
from spark_jobs.contracts.tables import SOURCES

BLOCK_ITEMS = 8192
"""Items matched at once: a block of scores stays in the processor's cache."""

POPULAR = SOURCES.index("popular")
REPEAT = SOURCES.index("repeat")
TOGETHER = SOURCES.index("together")
MATCH = SOURCES.index("match")

CAPS = Caps()
RECENT_TEXTS = 10
"""Newest events whose vectors a candidate is compared with."""


@dataclass(frozen=True)
class Rules:
    """Who must get what, as numbers."""

    n: int
    matched: int
    targets: tuple[int, ...]  # behaviours that count as taking an item
    max_per_category: int | None
    exclude_seen: tuple[tuple[int, int], ...]  # (behaviour, seconds): items so used since then are excluded


@dataclass(frozen=True)
class Shelf:
    """Everything about the items on the day of scoring. All arrays are in the order of the catalogue."""

    vectors: Floats  # [items, size], unit length
    allowed: NDArray[np.bool_]  # [items], available and not blocked
    categories: Ints  # [items]
    near: Neighbours
    stats: ItemStats
    by_popularity: Ints  # [allowed items], all of them, most popular first


@dataclass(frozen=True)
class Lists:
    """Top N of each user, best first; -1 and NaN pad where fewer than N items are allowed at all."""

    items: Ints  # [users, n]
    scores: Floats  # [users, n], never rising; comparable within a user
    sources: NDArray[np.int8]  # [users, n], index into SOURCES
    because: Ints  # [users, n], the history item behind it; -1 for a popular one


def best_matches(users: Floats, vectors: Floats, allowed: NDArray[np.bool_], k: int) -> Ints:
    """The ``k`` allowed items with the largest inner product for each user, exactly, [users, k].

    Goes through the items block by block, and never holds more than users x block scores. Ties at the end of
    a block's k may fall either way; the list itself breaks ties by item. Users with a zero vector get -1.
    """
    places = np.flatnonzero(allowed)
    k = min(k, len(places))
    found = np.full((len(users), k), -1, dtype=np.int32)
    if not k or not len(users):
        return found
    queries, keys = torch.from_numpy(users), torch.from_numpy(np.ascontiguousarray(vectors[places]))
    values: list[torch.Tensor] = []
    items: list[torch.Tensor] = []
    for start in range(0, len(places), BLOCK_ITEMS):
        scores = queries @ keys[start : start + BLOCK_ITEMS].T  # [users, block]
        best = scores.topk(min(k, scores.shape[1]), dim=1)
        values.append(best.values)
        items.append(best.indices + start)
    value, item = torch.cat(values, 1).numpy(), torch.cat(items, 1).numpy()
    order = np.lexsort((item, -value), axis=1)[:, :k]
    found[:] = places[np.take_along_axis(item, order, 1)]
    found[~users.any(axis=1)] = -1
    return found


@dataclass(frozen=True)
class Found:
    """Candidates of each user and what they were found by."""

    candidates: Candidates
    near: Together
    users: Floats  # [users, size], the encoder's vectors


def find_candidates(
    past: Histories, taken: Histories, shelf: Shelf, encoder: UserEncoder, matched: int, length: int, now: int
) -> Found:
    """Each user's own items, what goes with them, the encoder's best matches over all items, and popular ones.

    ``past`` has events of all behaviours, which the encoder reads; ``taken`` only those of target behaviours.
    """
    users = encode_users(encoder, torch.from_numpy(shelf.vectors), past, length, batch=128)
    best = best_matches(users, shelf.vectors, shelf.allowed, matched)
    near = together(taken, shelf.near, now)
    popular = shelf.by_popularity[: CAPS.popular]
    candidates = generate(taken, near, best, popular, now, len(shelf.allowed), replace(CAPS, match=matched))
    return Found(candidates, near, users)


def features_of(
    found: Found, candidates: Candidates, taken: Histories, shelf: Shelf, encoder: UserEncoder, now: int
) -> Floats:
    """What the ranker reads of some of the candidates, [candidates, features]."""
    owner, item = candidates.users, candidates.items
    match = np.einsum("ij,ij->i", found.users[owner], shelf.vectors[item]) / np.float32(encoder.temperature)
    tastes = _mean_vectors(taken.last(RECENT_TEXTS), shelf.vectors)
    text = np.einsum("ij,ij->i", tastes[owner], shelf.vectors[item])
    return candidate_features(taken, candidates, shelf.stats, found.near, match, text, now)


def recommend(
    histories: Histories,
    shelf: Shelf,
    encoder: UserEncoder,
    ranker: Ranker,
    rules: Rules,
    length: int,
    now: int,
) -> Lists:
    """Everyone's top N from what happened before ``now`` (seconds).

    The ranker orders the candidates. Exclusions apply before the selection, so that everyone gets N.

    Args:
        histories: Users to score, with items numbered as the shelf's.
        shelf: The items.
        encoder: Encodes users.
        ranker: Scores candidates.
        rules: Length of the lists and what is excluded.
        length: Newest events that the encoder reads.
        now: The interval's end, seconds.
    """
    past = histories.select((histories.times < now) & (histories.items >= 0))
    taken = past.select(np.isin(past.behaviours, rules.targets))
    found = find_candidates(past, taken, shelf, encoder, rules.matched, length, now)
    keep = shelf.allowed[found.candidates.items] & ~_excluded(past, found.candidates, rules, now)
    candidates = _kept(found.candidates, keep)
    scores = ranker.score(features_of(found, candidates, taken, shelf, encoder, now))
    owner, item = candidates.users, candidates.items
    # without a history there is nothing to rank by: the popular list as it stands
    place = np.full(len(shelf.allowed), len(shelf.by_popularity), dtype=np.float32)
    place[shelf.by_popularity] = np.arange(len(shelf.by_popularity), dtype=np.float32)
    scores = np.where((taken.lengths > 0)[owner], scores, -place[item]).astype(np.float32)
    lists = _selected(candidates, scores, shelf, rules)
    lists = _filled(lists, past, shelf, rules, now)
    return _explained(lists, past, found.near, shelf)


def _kept(candidates: Candidates, keep: NDArray[np.bool_]) -> Candidates:
    counts = np.bincount(candidates.users[keep], minlength=len(candidates.indptr) - 1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Candidates(indptr, candidates.items[keep], candidates.sources[keep])


def _excluded_keys(past: Histories, items: int, rules: Rules, now: int) -> Longs:
    """Sorted ``user * items + item`` of what the rules on seen items exclude."""
    seen = np.zeros(len(past.items), dtype=np.bool_)
    for behaviour, seconds in rules.exclude_seen:
        seen |= (past.behaviours == behaviour) & (past.times >= now - seconds)
    return np.unique(past.users[seen].astype(np.int64) * items + past.items[seen])


def _excluded(past: Histories, candidates: Candidates, rules: Rules, now: int) -> NDArray[np.bool_]:
    items = int(max(candidates.items.max(initial=0), past.items.max(initial=0))) + 1
    keys = candidates.users.astype(np.int64) * items + candidates.items
    return np.isin(keys, _excluded_keys(past, items, rules, now))


def _mean_vectors(recent: Histories, vectors: Floats) -> Floats:
    """Mean vector of each user's events, [users, size]; zeros without events."""
    sums = np.zeros((len(recent), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, recent.users, vectors[recent.items])
    counts = np.maximum(recent.lengths, 1).astype(np.float32)
    means: Floats = (sums / counts[:, None]).astype(np.float32)
    return means


def _selected(candidates: Candidates, scores: Floats, shelf: Shelf, rules: Rules) -> Lists:
    """The best of each user's candidates, ties by item, at most so many of a category."""
    users = len(candidates.indptr) - 1
    owner, item = candidates.users, candidates.items
    order = np.lexsort((item, -scores, owner))
    if rules.max_per_category is not None:
        category = shelf.categories[item[order]].astype(np.int64)
        group = owner[order].astype(np.int64) * (int(shelf.categories.max(initial=0)) + 1) + category
        order = order[_place_in_group(group) < rules.max_per_category]
    place = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
    order, place = order[place < rules.n], place[place < rules.n]
    shape = (users, rules.n)
    lists = Lists(
        np.full(shape, -1, np.int32),
        np.full(shape, np.nan, np.float32),
        np.full(shape, POPULAR, np.int8),
        np.full(shape, -1, np.int32),
    )
    lists.items[owner[order], place] = item[order]
    lists.scores[owner[order], place] = scores[order]
    lists.sources[owner[order], place] = candidates.sources[order]
    return lists


def _place_in_group(group: Longs) -> Longs:
    """How many rows of the same group stand before each row."""
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group[order])
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - first
    return place


def _filled(lists: Lists, past: Histories, shelf: Shelf, rules: Rules, now: int) -> Lists:
    """Fills lists that the candidates left short from all allowed items, most popular first.

    Short lists are rare (strict rules, tiny catalogues), so a loop over them costs nothing.
    """
    excluded = _excluded_keys(past, len(shelf.allowed), rules, now)
    for user in np.flatnonzero((lists.items < 0).any(axis=1)):
        have = lists.items[user][lists.items[user] >= 0]
        keys = user * len(shelf.allowed) + shelf.by_popularity.astype(np.int64)
        open_items = shelf.by_popularity[~np.isin(keys, excluded) & ~np.isin(shelf.by_popularity, have)]
        if rules.max_per_category is not None:
            together_with = np.concatenate([have, open_items])
            places = _place_in_group(shelf.categories[together_with].astype(np.int64))
            open_items = open_items[places[len(have) :] < rules.max_per_category]
        added = open_items[: rules.n - len(have)]
        floor = lists.scores[user, len(have) - 1] if len(have) else np.float32(0)
        stop = len(have) + len(added)
        lists.items[user, len(have) : stop] = added
        lists.scores[user, len(have) : stop] = floor - np.arange(1, len(added) + 1, dtype=np.float32)
    return lists


def _explained(lists: Lists, past: Histories, near: Together, shelf: Shelf) -> Lists:
    """Fills ``because``: the item itself for a repeat, what it was taken with, or the closest in the history."""
    items = len(shelf.allowed)
    user, place = np.nonzero(lists.items >= 0)
    item, source = lists.items[user, place], lists.sources[user, place]
    because = np.where(source == REPEAT, item, -1)
    owner = np.repeat(np.arange(len(past), dtype=np.int64), np.diff(near.indptr))
    rows = np.searchsorted(owner * items + near.items, user.astype(np.int64) * items + item)
    rows = np.minimum(rows, max(0, len(near.because) - 1))
    if len(near.because):
        because = np.where(source == TOGETHER, near.because[rows], because)
    recent = past.last(100)
    for row in np.flatnonzero(source == MATCH):
        seen = recent.items[recent.indptr[user[row]] : recent.indptr[user[row] + 1]]
        if len(seen):
            because[row] = seen[int(np.argmax(shelf.vectors[seen] @ shelf.vectors[item[row]]))]
    lists.because[user, place] = because
    return lists


def shelf_order(popular: Popularity, allowed: NDArray[np.bool_]) -> Ints:
    """All allowed items by purchases of the last 7, then 28, then 91 days, ties by item."""
    order = np.lexsort((np.arange(len(allowed)), -popular.last_91, -popular.last_28, -popular.last_7))
    return order[allowed[order]].astype(np.int32)


def seen_rules(exclude_seen_days: dict[str, int], behaviours: list[str]) -> tuple[tuple[int, int], ...]:
    """The settings' rules on seen items, by behaviour number and seconds."""
    return tuple((behaviours.index(name), days * DAY) for name, days in sorted(exclude_seen_days.items()))
