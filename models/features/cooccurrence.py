"""How well a candidate goes with what the user took lately."""

from __future__ import annotations

from models.cooccurrence import Cooccurrences
from models.features.table import NEVER, Feature, Group
from models.histories import Ints, Longs
from models.ragged import find, rank_in_group, row_of_each


def group(pairs: Cooccurrences, users: Longs, items: Ints, size: int) -> Group:
    """The features of co-occurrence, for ``users`` and ``items`` [candidates], of ``size`` items in the catalogue."""
    owner = row_of_each(pairs.indptr)
    return Group(
        [
            Feature("cooccurrence", pairs.scores),
            Feature("cooccurrence_rank", rank_in_group(owner, -pairs.scores), NEVER),
        ],
        find(owner * size + pairs.items, users * size + items),
    )
