"""Items that go with what the user did lately."""

from __future__ import annotations

import numpy as np

from contracts.settings import Baselines, Cooccurrence
from models.baselines.base import Baseline, Entries
from models.behaviours import Known
from models.cooccurrence import cooccurrences, neighbours_of
from models.excluded import Excluded
from models.ragged import row_of_each


class ItemKnn(Baseline):
    """Recency-weighted, directional item-kNN over the events of all behaviours (`models.cooccurrence`)."""

    name = "baseline/item_knn"

    def __init__(self, rules: Baselines, cooccurrence: Cooccurrence) -> None:
        super().__init__(rules)
        self.cooccurrence = cooccurrence

    def _learn(self, everyone: Known) -> None:
        self.neighbours = neighbours_of(everyone, self.items, self.cooccurrence, itself=True)

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:  # noqa: ARG002
        pairs = cooccurrences(known, self.neighbours, self.cooccurrence)
        return row_of_each(pairs.indptr), pairs.items, pairs.scores.astype(np.float64)
