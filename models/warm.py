"""Which items have enough events for an id embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.catalogue import Catalogue
from models.histories import Flags, Histories, Ints, Longs
from models.user_encoder import NO_ID

COVERED = 0.8
"""Share of the events that those of warm items must be."""


@dataclass(frozen=True)
class WarmItems:
    """Items with enough events for an id embedding, and their texts."""

    items: Longs  # [warm], ascending
    is_warm: Flags  # [items of the catalogue]
    id_rows: Ints  # [items of the catalogue], 1 and up for the warm ones
    texts: list[str]  # the distinct ones
    text_of: Ints  # [items of the catalogue], index into the texts; 0 for an item that is not warm

    @classmethod
    def of(cls, histories: Histories, catalogue: Catalogue, at_least: int, also: Longs | tuple[()] = ()) -> WarmItems:
        """The items with ``at_least`` events, and some others in any case."""
        has_enough = np.bincount(histories.items, minlength=len(catalogue)) >= at_least
        has_enough[np.asarray(also, dtype=np.int64)] = True
        warm = np.flatnonzero(has_enough)
        texts, text_of_warm = np.unique(catalogue.texts[warm].astype(str), return_inverse=True)
        is_warm = np.zeros(len(catalogue), dtype=np.bool_)
        is_warm[warm] = True
        id_rows = np.full(len(catalogue), NO_ID, dtype=np.int32)
        id_rows[warm] = np.arange(1, len(warm) + 1)
        text_of = np.zeros(len(catalogue), dtype=np.int32)
        text_of[warm] = text_of_warm
        return cls(warm, is_warm, id_rows, list(texts), text_of)

    def only(self, histories: Histories) -> Histories:
        """The events of warm items."""
        return histories.select(self.is_warm[histories.items])


def events_of_warm(histories: Histories, wanted: int) -> int:
    """Events that make an item warm: ``wanted``, or fewer where such items do not stand for the shop."""
    events = np.bincount(histories.items)
    covering = (least for least in range(wanted, 1, -1) if events[events >= least].sum() >= COVERED * events.sum())
    return next(covering, 1)
