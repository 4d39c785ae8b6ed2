"""The users that a model is trained on: all, or of a large shop a sample that hardly changes from week to week."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from models.histories import Longs

log = logging.getLogger("nightshift")


def user_sample(user_ids: Sequence[str], at_most: int) -> Longs:
    """At most so many users as ascending indices: those whose ids have the lowest hashes. Who is left out is logged."""
    if len(user_ids) <= at_most:
        return np.arange(len(user_ids))
    log.info(
        "Training on %s of %s users: the others are left out ([training] users).", f"{at_most:,}", f"{len(user_ids):,}"
    )
    hashes = [int.from_bytes(blake2b(user.encode(), digest_size=8).digest(), "big") for user in user_ids]
    return np.sort(np.argsort(np.array(hashes, dtype=np.uint64), kind="stable")[:at_most])
