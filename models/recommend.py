"""From histories to every user's top N: candidates, features, ranks, rules, reasons. No Spark, no files, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from contracts.settings import Features, Training
from contracts.tables import FALLBACK, LIST_SOURCES
from models.behaviours import Known
from models.candidates import COOCCURRENCE, INTEREST, MATCH, POPULAR, REPEAT, TEXT, Candidates, generate
from models.compiled import compiled
from models.cooccurrence import Cooccurrences, cooccurrences, leads
from models.excluded import Excluded
from models.features.rows import groups, values
from models.features.similarity import Likeness
from models.histories import Flags, Floats, Histories, Ints, Longs
from models.item_state import ItemState
from models.kernel import Cap
from models.ragged import find, first_in_group, rank_in_group, row_of_each
from models.ranker import Ranker
from models.user_encoder import UserEncoder, encode_users

FALLEN_BACK = LIST_SOURCES.index(FALLBACK)
"""Number of the source of lists that are nobody's own."""
Reordering = Callable[[Known, ItemState, Candidates, Floats], Floats]
"""New scores of candidates from what is known of their users, the items, and the ranker's scores, [candidates] both."""
EXPLAINED_EVENTS = 100
"""Newest events among which the reason of a match is looked for."""


@dataclass(frozen=True)
class Rules:
    """Who must get what, as numbers."""

    n: int
    max_per_category: int | None = None
    explore: int = 0  # places of the n that go to items new to the user


@dataclass(frozen=True)
class Lists:
    """Top N of each user, best first; -1 and NaN pad where fewer than N items are allowed at all."""

    items: Ints  # [users, n]
    scores: Floats  # [users, n], never rising; comparable within a user
    sources: NDArray[np.int8]  # [users, n], index into LIST_SOURCES
    because: Ints  # [users, n], the history item behind it; -1 for a popular one


@dataclass(frozen=True)
class Generated:
    """Candidates of each user and what they were generated from."""

    candidates: Candidates
    pairs: Cooccurrences
    users: Floats  # [users, size], the encoder's vectors


def generated(
    known: Known,
    state: ItemState,
    encoder: UserEncoder,
    settings: Training,
    excluded: Excluded,
    rules: Rules | None = None,
) -> Generated:
    """Candidates from every source.

    Args:
        known: Of the users.
        state: The items.
        encoder: Encodes users.
        settings: The model's own.
        excluded: What each user must not get.
        rules: Of the lists to come, if they may limit what is found.
    """
    items, wanted = len(state.allowed), settings.candidates
    users = encode_users(encoder, torch.from_numpy(state.vectors), known.past, settings.encoder.length, batch=64)
    matches = state.matching.best(users, wanted.match, excluded, _cap(rules, state, wanted.match))
    texts = by_text(known, state, settings, excluded, rules)
    pairs = cooccurrences(known, state.neighbours, settings.cooccurrence)
    made = generate(known, pairs, matches, texts, state.by_popularity, items, wanted, excluded)
    return Generated(made.select(state.allowed[made.items]), pairs, users)


def by_text(known: Known, state: ItemState, settings: Training, excluded: Excluded, rules: Rules | None) -> Ints:
    """Items whose texts are closest to those of each user's newest events, [users, k]; ``-1`` pads."""
    k = settings.candidates.text
    if not k:
        return np.empty((len(known.past), 0), dtype=np.int32)
    return state.matching_texts.best(_said(known, state, settings), k, excluded, _cap(rules, state, k))


def _said(known: Known, state: ItemState, settings: Training) -> Floats:
    """What the texts of each user's newest events say, [users, text size]."""
    newest = known.past.last(settings.features.recent_texts)
    return _mean_vectors(newest, leads(newest, known.behaviours, settings.cooccurrence), state.texts)


@dataclass(frozen=True)
class Recall:
    """What approximate search found of what exact search finds, over all searches of some users."""

    users: int
    found: int  # items of both
    exact: int  # items of the exact search


def recall(
    known: Known, state: ItemState, encoder: UserEncoder, settings: Training, excluded: Excluded, rules: Rules
) -> Recall:
    """Searches for the users both ways; the arguments are those of `generated`, and ``state`` has an approximation."""
    wanted = settings.candidates
    users = encode_users(encoder, torch.from_numpy(state.vectors), known.past, settings.encoder.length, batch=64)
    searches = [(state.matching, users, wanted.match)]
    if wanted.text:
        searches.append((state.matching_texts, _said(known, state, settings), wanted.text))
    found = exact = 0
    rows = np.arange(len(users), dtype=np.int64)[:, None] * len(state.allowed)
    for index, queries, k in searches:
        near, all_near = (way.best(queries, k, excluded, _cap(rules, state, k)) for way in (index, index.exact))
        is_there = all_near >= 0
        found += int((is_there & np.isin(rows + all_near, (rows + near)[near >= 0])).sum())
        exact += int(is_there.sum())
    return Recall(len(users), found, exact)


def _cap(rules: Rules | None, state: ItemState, k: int) -> Cap | None:
    """A category's share of ``k`` matches is that of a list: they hold as many categories as a full list needs."""
    if rules is None or rules.max_per_category is None:
        return None
    return Cap(state.categories, math.ceil(k * rules.max_per_category / rules.n))


def features_of(
    made: Generated,
    candidates: Candidates,
    known: Known,
    state: ItemState,
    settings: Features,
) -> Floats:
    """What the ranker reads of some of the candidates, [candidates, features]."""
    item = candidates.items
    match = products(made.users, state.vectors, candidates.indptr, item)
    read = (known.targets, known.past) if known.behaviours.others else (known.targets,)
    newest = [events.last(settings.recent_texts) for events in read]
    said = [known.behaviours.strengths(recent) for recent in newest]
    tastes = [_mean_vectors(*told, state.directions) for told in zip(newest, said, strict=True)]
    near = [products(taste, state.directions, candidates.indptr, item) for taste in tastes]
    texts = [Likeness.of(*told, state.texts, candidates.indptr, item) for told in zip(newest, said, strict=True)]
    return values(groups(known, candidates, state.facts, made.pairs, match, near, texts, settings))


@compiled
def products(users: Floats, vectors: Floats, indptr: Longs, items: Ints) -> Floats:
    """Inner product of each candidate's vector with its user's, [candidates].

    Args:
        users: [users, size].
        vectors: [items of the catalogue, size].
        indptr: Where each user's candidates begin, [users + 1].
        items: Of the candidates, [candidates].
    """
    made = np.empty(len(items), np.float32)
    for user in range(len(users)):
        for place in range(indptr[user], indptr[user + 1]):
            made[place] = np.dot(users[user], vectors[items[place]])
    return made


def scored(
    known: Known,
    state: ItemState,
    encoder: UserEncoder,
    ranker: Ranker,
    settings: Training,
    excluded: Excluded,
    reordering: Reordering | None = None,
    rules: Rules | None = None,
) -> tuple[Generated, Floats]:
    """Candidates from every source, and the score of each, [candidates]; the arguments are those of `recommend`."""
    made = generated(known, state, encoder, settings, excluded, rules)
    scores = ranker.score(features_of(made, made.candidates, known, state, settings.features))
    return made, reordering(known, state, made.candidates, scores) if reordering else scores


def recommend(
    known: Known,
    state: ItemState,
    encoder: UserEncoder,
    ranker: Ranker,
    rules: Rules,
    settings: Training,
    excluded: Excluded,
    reordering: Reordering | None = None,
) -> Lists:
    """Everyone's top N from what is known.

    The ranker orders the candidates, and a pair model the best of them. Exclusions apply before the selection, so that
    everyone gets N. Who has no event that says anything gets the most popular items under the same rules, and
    `FALLBACK` as their source.

    Args:
        known: Of the users to score, with items numbered as those of ``state``.
        state: The items.
        encoder: Encodes users.
        ranker: Scores candidates.
        rules: Length of the lists and what limits them.
        settings: The model's own.
        excluded: What each user does not get. The histories cannot tell: they are cut at their newest events.
        reordering: Of a pair model (`models.pair_model`), if there is one.
    """
    made, scores = scored(known, state, encoder, ranker, settings, excluded, reordering, rules)
    candidates = made.candidates
    # without a history there is nothing to rank by: the popular list as it stands (0 - rank, for there is a -0.0)
    has_past = known.past.lengths > 0
    scores = np.where(has_past[candidates.users], scores, 0 - _popularity_rank(state)[candidates.items])
    is_new = ~known.had(candidates.users, candidates.items, len(state.allowed))
    lists = _selected(candidates, scores.astype(np.float32), is_new, state, rules)
    lists = _filled(lists, state, rules, excluded.keys(len(state.allowed)))
    lists.sources[~has_past] = FALLEN_BACK
    return _explained(lists, known.liked, made.pairs, state)


def _popularity_rank(state: ItemState) -> Floats:
    """Rank of each item by popularity, [items]; of an item that is not allowed the number of those that are."""
    rank = np.full(len(state.allowed), len(state.by_popularity), dtype=np.float32)
    rank[state.by_popularity] = np.arange(len(state.by_popularity), dtype=np.float32)
    return rank


def _mean_vectors(recent: Histories, strengths: Floats, vectors: Floats) -> Floats:
    """Mean vector of each user's events by their ``strengths`` [events], [users, size]; zeros without events."""
    by_user = (strengths.astype(np.float32), recent.items, recent.indptr)
    sums = sparse.csr_array(by_user, shape=(len(recent), len(vectors))) @ vectors
    total = np.bincount(recent.users, strengths, minlength=len(recent)).astype(np.float32)
    means: Floats = (sums / np.maximum(total, np.float32(1e-9))[:, None]).astype(np.float32)
    return means


def _selected(candidates: Candidates, scores: Floats, is_new: Flags, state: ItemState, rules: Rules) -> Lists:
    """The best of each user's candidates, ties by item, at most so many of a category.

    The best ``rules.explore`` of those that are new to the user [candidates] have a place before all others.
    """
    owner, item = candidates.users, candidates.items
    if rules.max_per_category is not None:
        of_category = owner * (int(state.categories.max(initial=0)) + 1) + state.categories[item]
        fits = rank_in_group(of_category, -scores, item) < rules.max_per_category
        candidates, scores, is_new = candidates.select(fits), scores[fits], is_new[fits]
    owner, item = candidates.users, candidates.items
    if rules.explore:
        has_place = is_new & (rank_in_group(owner * 2 + is_new, -scores, item) < rules.explore)
        chosen = rank_in_group(owner, ~has_place, -scores, item) < rules.n
        candidates, scores = candidates.select(chosen), scores[chosen]
        owner, item = candidates.users, candidates.items
    index, rank = first_in_group(owner, rules.n, -scores, item)
    shape = (len(candidates.indptr) - 1, rules.n)
    lists = Lists(
        np.full(shape, -1, np.int32),
        np.full(shape, np.nan, np.float32),
        np.full(shape, POPULAR, np.int8),
        np.full(shape, -1, np.int32),
    )
    lists.items[owner[index], rank] = item[index]
    lists.scores[owner[index], rank] = scores[index]
    lists.sources[owner[index], rank] = candidates.sources[index]
    return lists


def _filled(lists: Lists, state: ItemState, rules: Rules, excluded: Longs) -> Lists:
    """Fills lists that the candidates left short from all allowed items, most popular first.

    Short lists are rare (strict rules, tiny catalogues), so a loop over them costs nothing.
    """
    for user in np.flatnonzero((lists.items < 0).any(axis=1)):
        listed = lists.items[user][lists.items[user] >= 0]
        keys = user * len(state.allowed) + state.by_popularity.astype(np.int64)
        spare = state.by_popularity[~np.isin(keys, excluded) & ~np.isin(state.by_popularity, listed)]
        if rules.max_per_category is not None:
            rank = rank_in_group(state.categories[np.concatenate([listed, spare])])
            spare = spare[rank[len(listed) :] < rules.max_per_category]
        added = spare[: rules.n - len(listed)]
        floor = lists.scores[user, len(listed) - 1] if len(listed) else np.float32(0)
        stop = len(listed) + len(added)
        lists.items[user, len(listed) : stop] = added
        lists.scores[user, len(listed) : stop] = floor - np.arange(1, len(added) + 1, dtype=np.float32)
    return lists


def _explained(lists: Lists, past: Histories, pairs: Cooccurrences, state: ItemState) -> Lists:
    """Fills ``because``: the item itself for a repeat, what it goes with, or the closest item of the history."""
    items = len(state.allowed)
    user, rank = np.nonzero(lists.items >= 0)
    item, source = lists.items[user, rank], lists.sources[user, rank]
    because = np.where((source == REPEAT) | (source == INTEREST), item, -1)
    pair = find(row_of_each(pairs.indptr) * items + pairs.items, user.astype(np.int64) * items + item)
    because = np.where(source == COOCCURRENCE, np.append(pairs.because, -1)[pair], because)
    recent = past.last(EXPLAINED_EVENTS)
    for row in np.flatnonzero((source == MATCH) | (source == TEXT)):
        vectors = state.texts if source[row] == TEXT else state.directions
        seen = recent.items[recent.indptr[user[row]] : recent.indptr[user[row] + 1]]
        if len(seen):
            because[row] = seen[int(np.argmax(vectors[seen] @ vectors[item[row]]))]
    lists.because[user, rank] = because
    return lists
