"""How a user takes to an attribute of the candidate: its department, category, product type or brand."""

from __future__ import annotations

import numpy as np

from models.behaviours import Known
from models.features.interest import HALF_LIFE_DAYS
from models.features.table import NEVER, Feature, Group, Rhythm
from models.histories import Floats, Histories, Ints, Longs
from models.pairs import Pairs
from models.ragged import find


def groups(
    attribute: str,
    past: Histories,
    rhythm: Rhythm,
    codes: Ints,
    users: Longs,
    items: Ints,
    decayed: Floats,
    half_life: int,
) -> list[Group]:
    """The features of one attribute.

    Args:
        attribute: Its name.
        past: Target events.
        rhythm: Of the same events.
        codes: The attribute of every item, [items].
        users: User of each candidate, [candidates].
        items: Item of each candidate, [candidates].
        decayed: Decayed count of the candidate itself, [candidates].
        half_life: Which of the rhythm's half-lives weighs.
    """
    size = int(codes.max(initial=0)) + 1
    pairs = Pairs.of(past.users, codes[past.items], size)
    row = find(pairs.keys, users * size + codes[items])
    total = pairs.sums(rhythm.decays[half_life])
    since = pairs.last(rhythm.age)
    gap = (pairs.first(rhythm.age) - since) / np.maximum(pairs.counts - 1, 1)
    of_pairs = [
        Feature(f"{attribute}_share", total / rhythm.totals[half_life][pairs.keys // size]),
        Feature(f"{attribute}_days_since", since, NEVER),
        Feature(f"{attribute}_week", pairs.sums(rhythm.age <= 7)),
        Feature(f"{attribute}_over_gap", since / np.maximum(gap, np.float32(0.5)), NEVER),
    ]
    of_attribute = np.append(total, np.float32(0))[row]
    own_part = Feature(f"{attribute}_own_part", decayed / np.maximum(of_attribute, np.float32(1e-9)))
    return [Group(of_pairs, row), Group.of_candidates(own_part)]


def interest(attribute: str, known: Known, codes: Ints, users: Longs, items: Ints) -> Group:
    """How much of all that the user did lately was with this attribute; for ``users`` and ``items`` [candidates]."""
    size = int(codes.max(initial=0)) + 1
    past = known.past
    pairs = Pairs.of(past.users, codes[past.items], size)
    age = past.ages(known.now).astype(np.float32)
    strength = known.strengths * np.exp2(-age / np.float32(HALF_LIFE_DAYS))
    of_user = np.bincount(past.users, strength, minlength=len(past)).astype(np.float32)
    return Group(
        [
            Feature(f"{attribute}_interest", pairs.sums(strength) / np.maximum(of_user[pairs.keys // size], 1e-9)),
            Feature(f"{attribute}_interest_days_since", pairs.last(age), NEVER),
        ],
        find(pairs.keys, users * size + codes[items]),
    )
