"""What a user did besides target events: viewed an item yesterday, put it into the cart and left it there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.behaviours import Known
from models.features.table import NEVER, Feature
from models.pairs import Pairs
from models.ragged import find

HALF_LIFE_DAYS = 7.0
"""By which interest fades."""


def of_items(known: Known, pairs: Pairs, size: int) -> Sequence[Feature]:
    """A row for each of the ``pairs`` of a user and an item, of all events; of ``size`` items in the catalogue."""
    past, targets = known.past, known.targets
    age = past.ages(known.now).astype(np.float32)
    strength = known.strengths * np.exp2(-age / np.float32(HALF_LIFE_DAYS))
    of_user = np.bincount(past.users, strength, minlength=len(past)).astype(np.float32)
    taken = Pairs.of(targets.users, targets.items, size)
    taken_ago = np.append(taken.last(targets.ages(known.now)), np.inf)[find(taken.keys, pairs.keys)]
    listed = [Feature("interest_share", pairs.sums(strength) / np.maximum(of_user[pairs.keys // size], 1e-9))]
    for number in known.behaviours.others:
        name = known.behaviours.names[number]
        mine = past.behaviours == number
        newest = pairs.least(np.where(mine, age, np.float32(NEVER)))
        listed += [
            Feature(f"own_{name}", pairs.sums(mine)),
            Feature(f"own_{name}_week", pairs.sums(mine & (age <= 7))),
            Feature(f"own_{name}_days_since", newest, NEVER),
            # later than the item's last target event: it is still wanted
            Feature(f"own_{name}_unanswered", (newest < NEVER) & (newest < taken_ago)),
        ]
    return listed


def of_users(known: Known) -> Sequence[Feature]:
    """A row for each user: how much they do besides target events."""
    users, age = known.past.users, known.past.ages(known.now)
    count = len(known.past)
    newest = np.full(count, NEVER, dtype=np.float32)
    np.minimum.at(newest, users, age.astype(np.float32))
    return [
        Feature("user_days_since_event", newest),
        Feature("user_events_day", np.bincount(users[age <= 1], minlength=count)),
        Feature("user_events_week", np.bincount(users[age <= 7], minlength=count)),
        Feature("user_target_share", known.targets.lengths / np.maximum(known.past.lengths, 1)),
    ]
