"""How often, how recently and how regularly this user had target events of this very item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts.settings import Features
from models.features.table import NEVER, Feature, Rhythm
from models.item_state import ItemFacts
from models.pairs import Pairs
from models.ragged import rank_in_group


def features(pairs: Pairs, rhythm: Rhythm, facts: ItemFacts, settings: Features) -> Sequence[Feature]:
    """A row for each (user, item) pair of the past."""
    size = facts.codes.shape[1]
    user, item = pairs.keys // size, pairs.keys % size
    sums = [pairs.sums(decay) for decay in rhythm.decays]
    taste = sums[settings.half_lives_days.index(settings.taste_half_life_days)]
    count = pairs.counts.astype(np.float32)
    since, first = pairs.last(rhythm.age), pairs.first(rhythm.age)
    baskets_since, baskets_first = pairs.last(rhythm.baskets_ago), pairs.first(rhythm.baskets_ago)
    span = first - since
    again = count > 1
    item_gap = facts.habits.gap[item]
    own_gap = np.where(again, span / np.maximum(count - 1, 1), NEVER)
    previous = pairs.order[np.maximum(pairs.starts + pairs.counts - 2, 0)]
    last_gap = np.where(again, rhythm.age[previous] - since, NEVER)
    week = np.floor(rhythm.age / 7)
    return [
        *(
            Feature(f"share_{half_life:g}", decayed / total[user])
            for half_life, decayed, total in zip(settings.half_lives_days, sums, rhythm.totals, strict=True)
        ),
        Feature("own_rank", rank_in_group(user, -taste), NEVER),
        Feature("own_count", count),
        Feature("own_basket_rate", count / (baskets_first + 1)),
        Feature("own_weekly_rate", count / np.maximum(first / 7, 1)),
        Feature("own_last_week", pairs.sums(week == 0)),
        Feature("own_week_2", pairs.sums(week == 1)),
        Feature("own_week_3", pairs.sums(week == 2)),
        Feature("own_week_4", pairs.sums(week == 3)),
        Feature("own_weeks_5_8", pairs.sums((week >= 4) & (week < 8))),
        Feature("own_last_basket", baskets_since == 0),
        Feature("days_since", since, NEVER),
        Feature("days_since_first", first, NEVER),
        Feature("baskets_since", baskets_since, NEVER),
        Feature("own_gap", own_gap, NEVER),
        Feature("own_last_gap", last_gap, NEVER),
        Feature("days_since_over_own_gap", since / np.maximum(own_gap, 1), NEVER),
        Feature("days_since_over_last_gap", since / np.maximum(last_gap, 1), NEVER),
        Feature("days_since_over_item_gap", since / np.maximum(item_gap, 1), NEVER),
        # own gaps weigh as many observations as there are, the item's usual gap as two
        Feature("due_days", since - (span + 2 * item_gap) / (count + 1), NEVER),
    ]
