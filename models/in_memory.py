"""A fitted model in one process: lists by the code of the night, without a lake, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.settings import Training
from models.behaviours import Known
from models.catalogue import Catalogue
from models.excluded import Excluded
from models.fit import Fitted
from models.histories import Ints
from models.item_state import DailyCounts, ItemState, item_state
from models.recommend import Reordering, Rules, recommend
from models.user_encoder import NO_ID, vectors_of_items

BATCH = 256
"""Users scored at once."""


@dataclass(frozen=True)
class InMemory:
    """A fitted model, and the items as of one moment."""

    fitted: Fitted
    state: ItemState
    settings: Training
    reordering: Reordering | None

    @classmethod
    def of(cls, fitted: Fitted, catalogue: Catalogue, everyone: Known, settings: Training) -> InMemory:
        """As of the moment before which ``everyone`` is known; the catalogue is the one that the model is fitted on."""
        text = fitted.texts.tuned(list(catalogue.texts))
        items = fitted.items
        state = item_state(
            catalogue,
            vectors_of_items(fitted.encoder, text, items.id_rows),
            fitted.space.of_texts(text),
            DailyCounts.of(everyone),
            items.neighbours,
            items.habits.of_items,
            items.id_rows != NO_ID,
            catalogue.available,
            everyone.now,
        )
        pair = fitted.pair.usable.on(catalogue, settings) if fitted.pair and fitted.pair.usable else None
        return cls(fitted, state, settings, pair)

    def lists(self, known: Known, rules: Rules, excluded: Excluded) -> Ints:
        """Everyone's top N, [users, n]; ``-1`` pads."""
        made = [np.zeros((0, rules.n), dtype=np.int32)]
        for start in range(0, len(known.past), BATCH):
            users = np.arange(start, min(start + BATCH, len(known.past)))
            made.append(
                recommend(
                    known.take(users),
                    self.state,
                    self.fitted.encoder,
                    self.fitted.ranker,
                    rules,
                    self.settings,
                    excluded.take(users),
                    self.reordering,
                ).items
            )
        return np.concatenate(made)
