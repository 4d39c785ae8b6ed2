"""A moment in the past that a model is fitted on: what was known by then, and what came in the window after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.behaviours import Known
from models.excluded import Excluded
from models.histories import Longs
from models.item_state import ItemState
from models.metrics import Relevant


@dataclass(frozen=True)
class Moment:
    """The begin of one of the ranker's windows: what was known, and what came."""

    known: Known
    excluded: Excluded
    relevant: Relevant  # of the window, without what is excluded
    state: ItemState

    @property
    def judged(self) -> Longs:
        """The users with a history and something relevant."""
        return np.flatnonzero((self.relevant.counts > 0) & (self.known.past.lengths > 0))
