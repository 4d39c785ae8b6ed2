"""How close a candidate is to the user in the space of the vectors, and to their items in that of the texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.features.table import Feature, Group
from models.histories import Floats, Histories, Ints, Longs


@dataclass(frozen=True)
class Likeness:
    """Cosines of each candidate's text with the texts of some of its user's newest events, [candidates] each."""

    last: Floats  # with the newest one
    best: Floats  # with the closest one
    mean: Floats  # with all, by how much each says

    @classmethod
    def of(cls, recent: Histories, strengths: Floats, texts: Floats, indptr: Longs, items: Ints) -> Likeness:
        """Of candidates; 0 for those of users without an event.

        Args:
            recent: The newest events of each user.
            strengths: How much each of them says, [events].
            texts: Unit vectors of the items' texts, [items of the catalogue, size].
            indptr: Where each user's candidates begin, [users + 1].
            items: Of the candidates, [candidates].
        """
        last, best, mean = np.zeros((3, len(items)), dtype=np.float32)
        for user in np.flatnonzero((recent.lengths > 0) & (np.diff(indptr) > 0)).tolist():
            own, events = slice(indptr[user], indptr[user + 1]), slice(recent.indptr[user], recent.indptr[user + 1])
            cosines = texts[items[own]] @ texts[recent.items[events]].T  # [candidates, events], oldest first
            last[own], best[own] = cosines[:, -1], cosines.max(1)
            mean[own] = cosines @ strengths[events] / max(float(strengths[events].sum()), 1e-9)
        return cls(last, best, mean)

    def features(self, kind: str) -> list[Feature]:
        """Columns, whose names begin with ``kind``."""
        return [Feature(f"{kind}_{name}", values) for name, values in vars(self).items()]


def group(match: Floats, near: Floats, text: Likeness) -> Group:
    """The encoder's score and how near the user's recent items are, [candidates] each; and what the texts say."""
    return Group.of_candidates(Feature("match", match), Feature("near", near), *text.features("text"))
