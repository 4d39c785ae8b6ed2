"""What a user costs on this machine, measured on the spot: the parts of `nightshift bench-scoring`'s whole user."""

from __future__ import annotations

import time
from collections.abc import Mapping

from contracts.settings import Settings
from nightshift.bench_scoring.whole_user import ALL, CANDIDATES, ENCODER, FEATURES, MATCHES, NEAREST, RANKER, cost
from nightshift.plan.model import Shop, UserRate

MOST_ITEMS = 100_000
"""Of the catalogue that is made for it: a minute's work. What matching takes grows with the items."""
MOST_EVENTS = 600
"""Of a user: histories are cut at their newest events anyway."""


def calibrated(settings: Settings, shop: Shop) -> UserRate:
    """What users with as many events as the shop's cost on one core of this machine, in half a minute."""
    items = min(shop.items, MOST_ITEMS)
    events = min(max(round(shop.events_per_user), 1), MOST_EVENTS)
    # the seconds of the core, not of the wall: the machine may have other work
    took = cost(settings, events, items, time.process_time)
    return user_rate(took.milliseconds, items, dimensions_of(settings))


def dimensions_of(settings: Settings) -> int:
    """Of a vector and a text together: what both searches multiply for an item."""
    return settings.training.encoder.vector_size + settings.training.features.text_size


def user_rate(milliseconds: Mapping[str, float], items: int, dimensions: int) -> UserRate:
    """The rate of a user from the parts of one (`nightshift.bench_scoring.whole_user.parts`), of so many items."""
    matching = milliseconds[MATCHES] + milliseconds[NEAREST]
    ranking = milliseconds[FEATURES] + milliseconds[RANKER]
    parts = {
        "encoding": milliseconds[ENCODER],
        "candidates": max(milliseconds[CANDIDATES] - milliseconds[ENCODER] - matching, 0.0),
        "ranking": ranking,
        "choosing, rows": max(milliseconds[ALL] - milliseconds[CANDIDATES] - ranking, 0.0),
    }
    seconds = {name: each / 1000 for name, each in parts.items()}
    return UserRate(seconds, items * dimensions / (matching / 1000), dimensions)
