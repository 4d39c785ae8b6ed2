"""The closest items that a user may get."""

from __future__ import annotations

import numpy as np

from models.excluded import Excluded
from models.kernel import best_matches
from models.ragged import Flags, Floats, Ints

SPARE = 1_000
"""Matches that are looked up, at most, beyond those that are wanted, because some are excluded."""


def allowed_matches(users: Floats, vectors: Floats, allowed: Flags, k: int, excluded: Excluded) -> Ints:
    """`best_matches` without what is ``excluded`` for each user, [users, k]; ``-1`` pads."""
    if not k:
        return np.empty((len(users), 0), dtype=np.int32)
    return excluded.removed_from(best_matches(users, vectors, allowed, with_spare(k, excluded)), k, len(vectors))


def with_spare(k: int, excluded: Excluded) -> int:
    """How many matches are looked up so that ``k`` are left without what is excluded."""
    return k + min(int(np.diff(excluded.indptr).max(initial=0)), SPARE)
