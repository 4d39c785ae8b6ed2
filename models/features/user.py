"""How often a user comes, how much they take, and how much of it is new to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.features.table import NEVER, Feature, Rhythm
from models.histories import Histories
from models.pairs import Pairs
from models.ragged import starts_of


def features(past: Histories, pairs: Pairs, rhythm: Rhythm) -> Sequence[Feature]:
    """A row for each user; ``pairs`` are those of user and item."""
    count = len(past)
    starts = starts_of(rhythm.basket)
    basket_user, basket_age = past.users[starts], rhythm.age[starts]
    week, month, quarter = (np.bincount(basket_user[basket_age <= days], minlength=count) for days in (7, 28, 91))
    since = np.full(count, NEVER, dtype=np.float32)
    since[basket_user] = basket_age  # the last of a user's baskets stays
    recent = rhythm.age <= 91
    events = np.bincount(past.users[recent], minlength=count)
    firsts = pairs.order[pairs.starts]
    new = np.bincount(past.users[firsts[recent[firsts]]], minlength=count)
    return [
        Feature("user_baskets_week", week),
        Feature("user_baskets_month", month),
        Feature("user_baskets_quarter", quarter),
        Feature("user_days_since_basket", since),
        Feature("user_basket_gap", 91 / np.maximum(quarter, 1)),
        Feature("user_basket_size", events / np.maximum(quarter, 1)),
        Feature("user_new_rate", new / np.maximum(events, 1)),
    ]
