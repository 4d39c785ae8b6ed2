"""Which ids a training has seen, in a bounded file: their hashes, of a large shop those of a fixed sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

MAX_IDS = 100_000
"""Hashes kept at most: 800 kB. So many ids tell a share to a fraction of a percent."""


def hashes_of(ids: Sequence[str]) -> Hashes:
    """A number for each id, the same on every machine and for ever, [ids]."""
    digests = b"".join(blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class KnownIds:
    """Hashes of the ids that were seen, among those up to ``highest``; of ids beyond it nothing is known."""

    hashes: Hashes  # [at most MAX_IDS], ascending
    highest: int

    @classmethod
    def of(cls, ids: Sequence[str], max_ids: int = MAX_IDS) -> KnownIds:
        """Keeps all of them, or those with the lowest hashes: a sample that has nothing to do with what they did."""
        hashes = np.unique(hashes_of(ids))
        if len(hashes) <= max_ids:
            return cls(hashes, int(np.iinfo(np.uint64).max))
        return cls(hashes[:max_ids], int(hashes[max_ids - 1]))

    def newcomers(self, ids: Sequence[str], events: NDArray[np.int64]) -> Newcomers:
        """How many of the ``events`` [ids] are of ids that were not seen."""
        hashes = hashes_of(ids)
        tells = hashes <= np.uint64(self.highest)
        return Newcomers(int(events[tells & ~np.isin(hashes, self.hashes)].sum()), int(events[tells].sum()))


@dataclass(frozen=True)
class Newcomers:
    """Events of ids that were not seen, and of all ids of which it is known whether they were."""

    events: int = 0
    of: int = 0

    def __add__(self, other: Newcomers) -> Newcomers:
        return Newcomers(self.events + other.events, self.of + other.of)

    @property
    def share(self) -> float | None:
        """None where no id tells."""
        return self.events / self.of if self.of else None
