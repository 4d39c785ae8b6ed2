"""Named columns: a feature's name and its values stand together, until `table` makes one array of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
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

    def write(self, out: Floats) -> None:
        """Writes one row a candidate into ``out`` [candidates, features]."""
        rows = len(self.features[0].values)
        table = np.empty((rows + 1, len(self.features)), dtype=np.float32)  # the last row is that of none
        for column, each in enumerate(self.features):
            table[:rows, column] = each.values
            table[rows, column] = each.missing
        spread(table, self.row, out)


@compiled
def spread(table: Floats, row: Longs, out: Floats) -> None:
    """``out[:] = table[row]`` without a copy between: ``out`` is some columns of a larger array."""
    for candidate in range(len(row)):
        for column in range(table.shape[1]):
            out[candidate, column] = table[row[candidate], column]


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
