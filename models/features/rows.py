"""One row of features for each candidate: all groups side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache

import numpy as np

from contracts.settings import Features
from models.behaviours import Behaviours, Known
from models.candidates import Candidates
from models.catalogue import ATTRIBUTES
from models.cooccurrence import Cooccurrences
from models.features import cooccurrence, interest, item, repeats, similarity, taste, user
from models.features.similarity import Likeness
from models.features.table import Feature, Group, Rhythm
from models.histories import Floats, Histories, Ints, Longs, basket_ids
from models.item_state import Habits, ItemFacts, Popularity
from models.pairs import Pairs
from models.ragged import find


def values(made: Sequence[Group]) -> Floats:
    """The groups side by side, one row a candidate, [candidates, features] in the order of `feature_names`."""
    stops = np.cumsum([len(group.features) for group in made])
    out = np.empty((len(made[0].row), stops[-1]), dtype=np.float32)
    for group, stop in zip(made, stops, strict=True):
        group.write(out[:, stop - len(group.features) : stop])
    return out


def groups(
    known: Known,
    candidates: Candidates,
    facts: ItemFacts,
    pairs: Cooccurrences,
    match: Floats,
    near: Sequence[Floats],
    texts: Sequence[Likeness],
    settings: Features,
) -> list[Group]:
    """The groups of features of each candidate.

    Args:
        known: What is known of the users.
        candidates: Items to rank for each of them.
        facts: What is known of the items apart from any user.
        pairs: What goes with the users' recent items.
        match: The user encoder's score of each candidate, [candidates].
        near: How near each candidate is to the user's recent target events among the encoder's items, [candidates];
            and, where there are other behaviours, to all recent ones.
        texts: Likeness of each candidate's text to those of the same events.
        settings: Half-lives and priors.
    """
    past, now = known.targets, known.now
    users, items = candidates.users, candidates.items
    size = facts.codes.shape[1]
    rhythm = Rhythm.of(past, basket_ids(past), now, settings.half_lives_days)
    pairs_of_items = Pairs.of(past.users, past.items, size)
    row = find(pairs_of_items.keys, users * size + items)
    half_life = settings.half_lives_days.index(settings.taste_half_life_days)
    decayed = np.append(pairs_of_items.sums(rhythm.decays[half_life]), np.float32(0))[row]
    made = [
        Group(repeats.features(pairs_of_items, rhythm, facts, settings), row),
        Group(item.features(facts), items.astype(np.int64)),
        Group(user.features(past, pairs_of_items, rhythm), users),
        *(
            group
            for attribute, codes in zip(ATTRIBUTES, facts.codes, strict=True)
            for group in taste.groups(attribute, past, rhythm, codes, users, items, decayed, half_life)
        ),
        cooccurrence.group(pairs, users, items, size),
        similarity.group(match, near[0], texts[0]),
    ]
    # a shop that logs nothing but target events has no use for these
    return [*made, *_interest(known, users, items, facts, near[1], texts[1])] if known.behaviours.others else made


def _interest(known: Known, users: Longs, items: Ints, facts: ItemFacts, near: Floats, text: Likeness) -> list[Group]:
    """What events of all behaviours say."""
    size = facts.codes.shape[1]
    pairs = Pairs.of(known.past.users, known.past.items, size)
    return [
        Group(interest.of_items(known, pairs, size), find(pairs.keys, users * size + items)),
        Group(interest.of_users(known), users),
        Group(item.interest(facts), items.astype(np.int64)),
        *(
            taste.interest(attribute, known, codes, users, items)
            for attribute, codes in zip(ATTRIBUTES, facts.codes, strict=True)
        ),
        Group.of_candidates(Feature("near_interest", near), *text.features("text_interest")),
    ]


@cache
def feature_names(settings: Features, behaviours: Behaviours) -> tuple[str, ...]:
    """Name of every feature, in order: those of a shop without users, where each group has no rows."""
    none = np.zeros(0, dtype=np.float32)
    nothing = np.zeros(0, dtype=np.int32)
    indptr = np.zeros(1, dtype=np.int64)
    facts = ItemFacts(
        np.zeros((len(ATTRIBUTES), 0), np.int32),
        Popularity(*[none] * len(fields(Popularity))),
        Habits(*[none] * len(fields(Habits))),
        none.astype(np.bool_),
    )
    empty = groups(
        Known(Histories(indptr, nothing, nothing, indptr[:0], indptr[:0], none), behaviours, 0),
        Candidates(indptr, nothing, np.zeros(0, dtype=np.int8)),
        facts,
        Cooccurrences(indptr, nothing, none, nothing),
        none,
        (none, none),
        (Likeness(none, none, none),) * 2,
        settings,
    )
    return tuple(feature.name for group in empty for feature in group.features)
