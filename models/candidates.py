"""Candidate generation: the items that are ranked for each user, from four sources, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Candidates as Caps
from contracts.tables import SOURCES
from models.cooccurrence import Cooccurrences
from models.histories import Flags, Histories, Ints, Longs
from models.metrics import Relevant
from models.ragged import find, indptr_of, kept, rank_in_group, row_of_each

REPEAT, COOCCURRENCE, MATCH, POPULAR = range(len(SOURCES))
"""Numbers of the sources, in the order of `contracts.tables.SOURCES`: a candidate of several has the first."""


@dataclass(frozen=True)
class Candidates:
    """Items to rank for each user, in compressed-row form."""

    indptr: Longs  # [users + 1]
    items: Ints  # [candidates], ascending in a user
    sources: NDArray[np.int8]  # [candidates], index into SOURCES

    @property
    def users(self) -> Longs:
        """The user of every candidate, [candidates]."""
        return row_of_each(self.indptr)

    def select(self, keep: Flags) -> Candidates:
        """The same users with only the candidates where ``keep`` [candidates] is true."""
        return Candidates(kept(self.indptr, keep), self.items[keep], self.sources[keep])


def generate(
    histories: Histories,
    pairs: Cooccurrences,
    matches: Ints,
    popular: Ints,
    now: int,
    items: int,
    caps: Caps,
) -> Candidates:
    """The union of what each source brings.

    Args:
        histories: Target events of the users.
        pairs: What goes with their recent items.
        matches: Items closest to each user's vector, [users, k], best first; ``-1`` pads.
        popular: Popular items, best first.
        now: End of what is known, seconds.
        items: Size of the catalogue.
        caps: The most that each source brings.
    """
    users = np.arange(len(histories), dtype=np.int64)
    matches, popular = matches[:, : caps.match], popular[: caps.popular]
    pair_user = row_of_each(pairs.indptr)
    strong = rank_in_group(pair_user, -pairs.scores) < caps.cooccurrence
    by_source = {
        REPEAT: _repeats(histories, now, items, caps),
        COOCCURRENCE: (pair_user[strong], pairs.items[strong]),
        MATCH: (np.repeat(users, matches.shape[1]), matches.ravel()),
        POPULAR: (np.repeat(users, len(popular)), np.tile(popular, len(users))),
    }
    user = np.concatenate([by_source[source][0] for source in sorted(by_source)])
    item = np.concatenate([by_source[source][1] for source in sorted(by_source)]).astype(np.int64)
    source = np.repeat(np.arange(len(SOURCES), dtype=np.int8), [len(by_source[each][0]) for each in sorted(by_source)])
    real = item >= 0
    keys, first = np.unique((user * items + item)[real], return_index=True)
    counts = np.bincount(keys // items, minlength=len(users))
    return Candidates(indptr_of(counts), (keys % items).astype(np.int32), source[real][first])


def _repeats(histories: Histories, now: int, items: int, caps: Caps) -> tuple[Longs, Longs]:
    """Users and items of the users' own items with the largest decayed counts."""
    past = histories.before(now)
    decay = np.exp2(-past.ages(now) / caps.half_life_days)
    keys, pair = np.unique(past.users * items + past.items, return_inverse=True)
    user = keys // items
    largest = rank_in_group(user, -np.bincount(pair, decay, minlength=len(keys))) < caps.repeat
    return user[largest], keys[largest] % items


def label(candidates: Candidates, relevant: Relevant, items: int) -> Flags:
    """Which candidates are relevant, [candidates]; of ``items`` items in the catalogue."""
    wanted = row_of_each(relevant.indptr) * items + relevant.items
    return find(wanted, candidates.users * items + candidates.items) < len(wanted)


def sample(candidates: Candidates, labels: Flags, share: float, seed: int) -> tuple[Candidates, Flags]:
    """All positives and a ``share`` of the negatives of users with a positive, and their labels.

    The share is the same at every rank: sampling some ranks more would teach that they are better.
    """
    users = candidates.users
    positive = np.bincount(users[labels], minlength=len(candidates.indptr) - 1) > 0
    drawn = np.random.default_rng(seed).random(len(labels)) < share
    keep = positive[users] & (labels | drawn)
    return candidates.select(keep), labels[keep]
