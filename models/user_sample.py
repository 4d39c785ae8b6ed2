"""The users that a model is trained on: all, or of a large shop a sample that hardly changes from week to week."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from contracts.sampling import sample
from models.histories import Longs

log = logging.getLogger("nightshift")


def user_sample(user_ids: Sequence[str], at_most: int) -> Longs:
    """At most so many users as ascending indices: always the same ones. Who is left out is logged."""
    if len(user_ids) <= at_most:
        return np.arange(len(user_ids))
    log.info(
        "Training on %s of %s users: the others are left out ([training] users).", f"{at_most:,}", f"{len(user_ids):,}"
    )
    chosen = set(sample(user_ids, at_most))
    return np.flatnonzero([user in chosen for user in user_ids])
