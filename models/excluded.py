"""What a user is not to be recommended, whatever ranks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.ragged import Ints, Longs, indptr_of, row_of_each


@dataclass(frozen=True)
class Excluded:
    """Items that must not be on a user's list, by user in compressed-row form."""

    indptr: Longs  # [users + 1]
    items: Ints  # [excluded items]

    def keys(self, items: int) -> Longs:
        """``user * items + item`` of each."""
        return row_of_each(self.indptr) * items + self.items

    @classmethod
    def nothing(cls, users: int) -> Excluded:
        """Nothing, for so many users."""
        return cls(indptr_of(np.zeros(users, dtype=np.int64)), np.zeros(0, dtype=np.int32))
