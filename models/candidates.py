"""Candidate generation: the items that are ranked for each user, from six sources, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Candidates as Caps
from contracts.tables import SOURCES
from models.behaviours import Known
from models.cooccurrence import Cooccurrences
from models.excluded import Excluded
from models.histories import Flags, Floats, Histories, Ints, Longs
from models.metrics import Relevant
from models.pairs import Pairs
from models.ragged import find, indptr_of, kept, rank_in_group, row_of_each

REPEAT, INTEREST, COOCCURRENCE, MATCH, TEXT, POPULAR = range(len(SOURCES))
"""Numbers of the sources, in the order of `contracts.tables.SOURCES`: a candidate of several has the first."""
OWN = (REPEAT, INTEREST)
"""Those that bring what the user had."""


Entries = tuple[Longs, NDArray[Any], NDArray[Any]]
"""Loose rows of a user, an item, and what they are ordered by: smallest first."""


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
    known: Known,
    pairs: Cooccurrences,
    matches: Ints,
    by_text: Ints,
    popular: Ints,
    items: int,
    caps: Caps,
    excluded: Excluded,
) -> Candidates:
    """The union of what each source brings, without what is excluded.

    Args:
        known: Of the users.
        pairs: What goes with their recent items.
        matches: Items closest to each user's vector, [users, k], best first; ``-1`` pads.
        by_text: The same of items closest to the texts of each user's newest events.
        popular: Popular items, best first.
        items: Size of the catalogue.
        caps: The most that each source brings.
        excluded: What must not be listed: the next best takes its place.
    """
    users = np.arange(len(known.past), dtype=np.int64)
    excluded_keys, disliked = excluded.keys(items), known.disliked_keys(items)
    popular = popular[: caps.popular + int(np.diff(excluded.indptr).max(initial=0))]
    in_order = {
        REPEAT: _own(known.targets, np.ones(len(known.targets.items)), known.now, items, caps.half_life_days),
        INTEREST: _own(known.past, known.strengths, known.now, items, caps.interest_half_life_days),
        COOCCURRENCE: (row_of_each(pairs.indptr), pairs.items, -pairs.scores),
        MATCH: _flat(users, matches),
        TEXT: _flat(users, by_text),
        POPULAR: _flat(users, np.tile(popular, (len(users), 1))),
    }
    if not known.behaviours.others:
        del in_order[INTEREST]
    most = (caps.repeat, caps.interest, caps.cooccurrence, caps.match, caps.text, caps.popular)
    keys, sources = [], []
    for source, (user, item, order) in in_order.items():
        key = (user * items + item)[item >= 0]
        may = ~np.isin(key, excluded_keys)
        if source in OWN:  # whatever else the user did with it, what was rated low is not wanted again
            may &= ~np.isin(key, disliked)
        best = rank_in_group(key[may] // items, order[item >= 0][may]) < most[source]
        keys.append(key[may][best])
        sources.append(np.full(np.count_nonzero(best), source, dtype=np.int8))
    distinct, first = np.unique(np.concatenate(keys), return_index=True)
    counts = np.bincount(distinct // items, minlength=len(users))
    return Candidates(indptr_of(counts), (distinct % items).astype(np.int32), np.concatenate(sources)[first])


def _own(past: Histories, strengths: NDArray[Any], now: int, items: int, half_life_days: float) -> Entries:
    """The users' own items, those with the largest decayed sums of ``strengths`` [events] first."""
    decay = strengths * np.exp2(-past.ages(now) / half_life_days)
    pairs = Pairs.of(past.users, past.items, items)
    sums = np.bincount(pairs.of_each, decay[pairs.order], minlength=len(pairs.keys))
    return pairs.keys // items, pairs.keys % items, -sums


def _flat(users: Longs, lists: Ints) -> Entries:
    """Lists [users, k], in the order that they have."""
    k = lists.shape[1]
    return np.repeat(users, k), lists.ravel(), np.tile(np.arange(k), len(users))


def label(candidates: Candidates, relevant: Relevant, items: int) -> Flags:
    """Which candidates are relevant, [candidates]; of ``items`` items in the catalogue."""
    wanted = row_of_each(relevant.indptr) * items + relevant.items
    return find(wanted, candidates.users * items + candidates.items) < len(wanted)


@dataclass(frozen=True)
class Sample:
    """Some of the candidates, and how likely each was to be among them."""

    candidates: Candidates
    labels: Flags  # [candidates]
    shares: Floats  # [candidates], probability with which it was kept: 1 for a positive


def sample(candidates: Candidates, labels: Flags, share: float, own_share: float, most: int, seed: int) -> Sample:
    """All positives and some of the negatives of users with a positive; of a large shop, of some of these users.

    A user's own items are few and the hardest to tell apart: of them ``own_share`` is kept, of the others ``share``.
    What is fitted on the sample has to know the shares (`models.ranker.listwise_loss`): without them, a group of which
    more is kept looks worse than it is.

    Args:
        candidates: Of all users.
        labels: Which are positives, [candidates].
        share: Of the negatives, but for own items.
        own_share: Of the negatives among own items.
        most: Candidates in the sample at most: as many users are drawn as fit.
        seed: Of the draws.
    """
    users, count = candidates.users, len(candidates.indptr) - 1
    random = np.random.default_rng(seed)
    is_own = np.isin(candidates.sources, OWN)
    shares = np.where(labels, 1.0, np.where(is_own, own_share, share)).astype(np.float32)
    positive = np.bincount(users[labels], minlength=count) > 0
    keep = positive[users] & (random.random(len(labels)) < shares)
    if np.count_nonzero(keep) > most:
        drawn = random.permutation(count)
        sizes = np.bincount(users[keep], minlength=count)
        fits = np.zeros(count, dtype=np.bool_)
        fits[drawn] = np.cumsum(sizes[drawn]) <= most
        keep &= fits[users]
    return Sample(candidates.select(keep), labels[keep], shares[keep])
