"""Named columns: a feature's name and its values stand together, until `table` makes one array of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.histories import Floats, Histories, Ints, Longs

NEVER = 999.0
"""Days or baskets since something that never happened."""


@dataclass(frozen=True)
class Feature:
    """One column."""

    name: str
    values: NDArray[Any]  # [rows]
    missing: float = 0.0  # what it says of what has no row


@dataclass(frozen=True)
class Group:
    """Features with the same rows, and which row is each candidate's."""

    features: Sequence[Feature]
    row: Longs  # [candidates]; the number of rows stands for none

    @classmethod
    def of_candidates(cls, *features: Feature) -> Group:
        """Features whose rows are the candidates themselves."""
        return cls(features, np.arange(len(features[0].values)))

    def values(self) -> Floats:
        """One row a candidate, [candidates, features]."""
        columns = [np.append(each.values.astype(np.float32), np.float32(each.missing)) for each in self.features]
        values: Floats = np.stack(columns, axis=1)[self.row]
        return values


@dataclass(frozen=True)
class Rhythm:
    """Each event's age and basket, and each user's decayed totals."""

    age: Floats  # [events], days
    basket: Longs  # [events], ascending
    baskets_ago: Ints  # [events], 0 is the user's last basket
    decays: Floats  # [half-lives, events]
    totals: Floats  # [half-lives, users]

    @classmethod
    def of(cls, past: Histories, basket: Longs, now: int, half_lives_days: Sequence[float]) -> Rhythm:
        """The rhythm of what happened before ``now`` (seconds), in baskets [events]."""
        age = past.ages(now).astype(np.float32)
        users = past.users
        decays = np.stack([np.exp2(-age / np.float32(half_life)) for half_life in half_lives_days])
        totals = np.stack([np.bincount(users, decay, minlength=len(past)) for decay in decays])
        return cls(age, basket, past.behind_last(basket).astype(np.int32), decays, totals.astype(np.float32))
