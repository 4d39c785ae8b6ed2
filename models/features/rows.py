"""One row of features for each candidate: all groups side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from contracts.settings import Features
from models.candidates import Candidates
from models.catalogue import ATTRIBUTES
from models.cooccurrence import Cooccurrences
from models.features import cooccurrence, item, repeats, similarity, taste, user
from models.features.table import Group, Rhythm
from models.histories import Floats, Histories, basket_ids
from models.item_state import Habits, ItemFacts, Popularity
from models.pairs import Pairs
from models.ragged import find


def values(made: Sequence[Group]) -> Floats:
    """The groups side by side, one row a candidate, [candidates, features] in the order of `feature_names`."""
    return np.hstack([group.values() for group in made]).astype(np.float32, copy=False)


def groups(
    histories: Histories,
    candidates: Candidates,
    facts: ItemFacts,
    pairs: Cooccurrences,
    match: Floats,
    text: Floats,
    now: int,
    settings: Features,
) -> list[Group]:
    """The groups of features of each candidate, from what happened before ``now``.

    Args:
        histories: Target events of the users.
        candidates: Items to rank for each of them.
        facts: What is known of the items apart from any user.
        pairs: What goes with the users' recent items.
        match: The user encoder's score of each candidate, [candidates].
        text: Likeness of each candidate to the user's recent items, [candidates].
        now: End of what is known, seconds.
        settings: Half-lives and priors.
    """
    past = histories.before(now)
    users, items = candidates.users, candidates.items
    size = facts.codes.shape[1]
    rhythm = Rhythm.of(past, basket_ids(past), now, settings.half_lives_days)
    pairs_of_items = Pairs.of(past.users, past.items, size)
    row = find(pairs_of_items.keys, users * size + items)
    half_life = settings.half_lives_days.index(settings.taste_half_life_days)
    decayed = np.append(pairs_of_items.sums(rhythm.decays[half_life]), np.float32(0))[row]
    return [
        Group(repeats.features(pairs_of_items, rhythm, facts, settings), row),
        Group(item.features(facts), items.astype(np.int64)),
        Group(user.features(past, pairs_of_items, rhythm), users),
        *(
            group
            for attribute, codes in zip(ATTRIBUTES, facts.codes, strict=True)
            for group in taste.groups(attribute, past, rhythm, codes, users, items, decayed, half_life)
        ),
        cooccurrence.group(pairs, users, items, size),
        similarity.group(match, text),
    ]


@cache
def feature_names(settings: Features) -> tuple[str, ...]:
    """Name of every feature, in order: those of a shop without users, where each group has no rows."""
    none = np.zeros(0, dtype=np.float32)
    nothing = np.zeros(0, dtype=np.int32)
    indptr = np.zeros(1, dtype=np.int64)
    facts = ItemFacts(np.zeros((len(ATTRIBUTES), 0), np.int32), Popularity(*[none] * 4), Habits(*[none] * 5))
    empty = groups(
        Histories(indptr, nothing, nothing, indptr[:0], indptr[:0]),
        Candidates(indptr, nothing, np.zeros(0, dtype=np.int8)),
        facts,
        Cooccurrences(indptr, nothing, none, nothing),
        none,
        none,
        0,
        settings,
    )
    return tuple(feature.name for group in empty for feature in group.features)
