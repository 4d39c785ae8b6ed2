"""The ranker's lists as the pair model meets them, the order that it makes of them, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.histories import Flags, Floats, Longs
from models.metrics import Doubles, ndcg
from models.ragged import Ints, first_in_group, gather, indptr_of, kept, rank_in_group, row_of_each
from models.ranker import listwise_loss

MOST_WEIGHT = 5.0
"""The highest weight of a logit: the ranker's own scores weigh 1."""
PLACES = 10
"""Of a list that count."""


@dataclass(frozen=True)
class RankedLists:
    """The best candidates of users as of a moment in the past, and which of them they took in the window after it."""

    users: Longs  # [lists], whose each is, by a number that holds in all windows
    told: NDArray[np.object_]  # [lists], the user's text
    read: Floats  # [lists, 2 x text size], what a student reads of the user
    indptr: Longs  # [lists + 1]
    items: Ints  # [rows]
    scores: Floats  # [rows], the ranker's
    labels: Flags  # [rows], whether it was taken
    relevant: Longs  # [lists], how many items the user took

    def __len__(self) -> int:
        return len(self.users)

    @property
    def owner(self) -> Longs:
        """The list of every row, [rows]."""
        return row_of_each(self.indptr)

    @property
    def hits(self) -> Longs:
        """How many of each list's rows were taken, [lists]."""
        return np.bincount(self.owner[self.labels], minlength=len(self))

    def take(self, lists: NDArray[np.integer | np.bool_]) -> RankedLists:
        """Only the given lists: their numbers, or whether each is one of them."""
        chosen = np.arange(len(self))[lists]
        indptr, rows = gather(self.indptr, chosen)
        of_lists = (self.users[chosen], self.told[chosen], self.read[chosen])
        return RankedLists(
            *of_lists, indptr, self.items[rows], self.scores[rows], self.labels[rows], self.relevant[chosen]
        )

    def best(self, count: int) -> RankedLists:
        """The same lists with only the ``count`` best of each."""
        return self.select(are_best(self.owner, self.items, self.scores, count))

    def select(self, keep: Flags) -> RankedLists:
        """The same lists with only the rows where ``keep`` [rows] is true."""
        return RankedLists(
            self.users, self.told, self.read, kept(self.indptr, keep), self.items[keep], self.scores[keep],
            self.labels[keep], self.relevant,
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[RankedLists]) -> RankedLists:
        """The lists of all parts, one after the other."""
        indptr = indptr_of(np.concatenate([np.diff(part.indptr) for part in parts]))
        names = ("users", "told", "read", "items", "scores", "labels", "relevant")
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(indptr=indptr, **columns)

    def raised(self, logits: Floats, weight: float) -> Floats:
        """The ranker's scores and what ``logits`` [rows] say of all of them, [rows]."""
        return raised(self.owner, self.scores, logits, weight)

    def ndcg(self, scores: Floats) -> Doubles:
        """NDCG@10 of each list in the order of ``scores`` [rows], [lists]."""
        owner = self.owner
        index, rank = first_in_group(owner, PLACES, -scores, self.items)
        hit = np.zeros((len(self), PLACES), dtype=np.bool_)
        hit[owner[index], rank] = self.labels[index]
        return ndcg(hit, self.relevant)


Say = Callable[[RankedLists], Floats]
"""A logit of every row, [rows]."""


def are_best(owner: Longs, items: Ints, scores: Floats, count: int) -> Flags:
    """Which rows are among the ``count`` best of their list, ties by item, [rows]."""
    best: Flags = rank_in_group(owner, -scores, items) < count
    return best


def of_those_that_move(say: Say) -> Say:
    """The same where it counts: 0 in lists of which nothing was taken, as no order is worth anything there."""

    def said(lists: RankedLists) -> Floats:
        moves = lists.hits > 0
        logits = np.zeros(len(lists.items), dtype=np.float32)
        logits[moves[lists.owner]] = say(lists.take(moves))
        return logits

    return said


def raised(owner: Longs, scores: Floats, logits: Floats, weight: float) -> Floats:
    """Scores [rows] and what the logits say: at least 0, so that no row falls behind those of which nothing is said.

    Args:
        owner: The list of each row.
        scores: The ranker's, [rows].
        logits: Of the pair model or its student, [rows].
        weight: Of the logits.
    """
    if not len(owner):
        return scores
    least = np.full(int(owner.max()) + 1, np.inf, dtype=np.float32)
    np.minimum.at(least, owner, logits)
    made: Floats = scores + np.float32(weight) * (logits - least[owner])
    return made


def weight_of(lists: RankedLists, logits: Floats) -> float:
    """The weight of the logits [rows] with which scores say best what is taken, by the ranker's own loss.

    Of lists with something that was taken; 0 where the logits say nothing, or the wrong thing.
    """
    # a worker that scores imports this module too, and would wait a second for it
    from scipy.optimize import minimize_scalar

    rows = (lists.hits > 0)[lists.owner]
    if not rows.any() or not logits[rows].any():
        return 0.0
    group = torch.from_numpy(np.unique(lists.owner[rows], return_inverse=True)[1])
    scores, said = torch.from_numpy(lists.scores[rows]), torch.from_numpy(logits[rows])
    labels, alike = torch.from_numpy(lists.labels[rows].astype(np.float32)), torch.zeros(len(scores))

    def loss(weight: float) -> float:
        return listwise_loss(scores + weight * said, labels, alike, group).item()

    found = float(minimize_scalar(loss, bounds=(0.0, MOST_WEIGHT), method="bounded").x)
    return found if loss(found) < loss(0.0) else 0.0
