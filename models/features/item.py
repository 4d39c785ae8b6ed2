"""How popular an item is, how that changes, and how soon users come back for it, whoever the user is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.catalogue import PRODUCT_TYPE
from models.features.table import Feature
from models.item_state import ItemFacts


def features(facts: ItemFacts) -> Sequence[Feature]:
    """A row for each item."""
    popularity, habits = facts.popularity, facts.habits
    types = facts.codes[PRODUCT_TYPE]
    of_type = np.bincount(types, popularity.last_91)[types]
    return [
        Feature("item_week", popularity.last_7),
        Feature("item_month", popularity.last_28),
        Feature("item_quarter", popularity.last_91),
        Feature("item_last_days", (popularity.last_3 + 1) / (popularity.last_7 * (3 / 7) + 1)),
        Feature("item_trend_month", (popularity.last_7 + 1) / (popularity.last_28 / 4 + 1)),
        Feature("item_trend_quarter", (popularity.last_28 + 1) / (popularity.last_91 * (28 / 91) + 1)),
        Feature("item_share_of_type", popularity.last_91 / np.maximum(of_type, 1)),
        Feature("item_users", habits.users),
        Feature("item_events_per_user", habits.events_per_user),
        Feature("item_again", habits.again),
        Feature("item_again_within_week", habits.again_within_week),
        Feature("item_gap", habits.gap),
    ]
