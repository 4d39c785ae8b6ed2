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
        # what is new is bought for other reasons, and the model's scores of it come from its text alone
        Feature("item_days_since_first", popularity.days_since_first),
        Feature("item_has_id", facts.has_id),
    ]


def interest(facts: ItemFacts) -> Sequence[Feature]:
    """A row for each item: how much is done with it, of all behaviours."""
    popularity = facts.popularity
    return [
        Feature("item_interest_day", popularity.strength_1),
        Feature("item_interest_week", popularity.strength_7),
        Feature("item_interest_month", popularity.strength_28),
        Feature("item_interest_trend", (popularity.strength_1 + 1) / (popularity.strength_7 / 7 + 1)),
        Feature("item_conversion", popularity.last_28 / (popularity.strength_28 + 1)),
    ]
