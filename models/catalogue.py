"""The catalogue as arrays: items are numbered by ascending item id, so that ties by number are ties by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from models.histories import Histories, Ints, Longs
from spark_jobs.contracts.columns import Columns as C

CODED = (C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND)
"""The columns behind `models.features.ATTRIBUTES`, in its order."""


@dataclass(frozen=True)
class Catalogue:
    """Items and what the ranker reads of them."""

    item_ids: pd.Index[str]  # [items], ascending
    texts: NDArray[np.object_]  # [items]
    codes: Ints  # [attributes, items]; a missing attribute has a code of its own
    available: NDArray[np.bool_]  # [items]

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def from_arrow(cls, items: pa.Table) -> Catalogue:
        """From the table `items`, in any order."""
        frame = items.select([C.ITEM_ID, C.TEXT, C.AVAILABLE, *CODED]).to_pandas()
        frame = frame.sort_values(C.ITEM_ID, kind="stable")
        codes = [pd.factorize(frame[name], sort=True, use_na_sentinel=False)[0] for name in CODED]
        return cls(
            pd.Index(frame[C.ITEM_ID].to_numpy(object)),
            frame[C.TEXT].to_numpy(object),
            np.stack(codes).astype(np.int32),
            frame[C.AVAILABLE].to_numpy(bool),
        )

    def positions(self, item_ids: Sequence[str] | NDArray[np.object_] | pa.Array) -> Ints:
        """Number of each item; -1 where the catalogue does not hold it."""
        return self.item_ids.get_indexer(pd.Index(np.asarray(item_ids, dtype=object))).astype(np.int32)


def histories_from_arrow(rows: pa.Table, catalogue: Catalogue, behaviours: Sequence[str]) -> Histories:
    """Histories of the users of ``rows``, in their order.

    Args:
        rows: `item_ids`, `behaviours` and `times` as lists, oldest first; events of one moment in any order.
        catalogue: Numbers the items.
        behaviours: Names in the order of their numbers.
    """
    lists = rows[C.ITEM_IDS].combine_chunks()
    counts = np.diff(lists.offsets.to_numpy()) if len(lists) else np.zeros(0, np.int64)
    user = np.repeat(np.arange(len(lists), dtype=np.int32), counts)
    behaviour = _numbers(rows[C.BEHAVIOURS], lambda values: pd.Index(list(behaviours)).get_indexer(values))
    item = _numbers(rows[C.ITEM_IDS], catalogue.positions)
    return Histories.from_events(
        len(lists),
        user,
        item,
        behaviour,
        rows[C.TIMES].combine_chunks().flatten().to_numpy(zero_copy_only=False),
    )


def lists_from_arrow(column: pa.ChunkedArray, catalogue: Catalogue) -> tuple[Longs, Ints]:
    """A column of item id lists in compressed-row form: (indptr [rows + 1], items); unknown items are left out."""
    lists = column.combine_chunks()
    counts = np.diff(lists.offsets.to_numpy()) if len(lists) else np.zeros(0, np.int64)
    row = np.repeat(np.arange(len(lists)), counts)
    item = _numbers(column, catalogue.positions)
    known = item >= 0
    order = np.lexsort((item[known], row[known]))
    sizes = np.bincount(row[known], minlength=len(lists))
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), item[known][order]


def _numbers(column: pa.ChunkedArray, number: object) -> Ints:
    """Numbers of the strings in a column of lists. Only the distinct ones are looked up."""
    flat = column.combine_chunks().flatten().dictionary_encode()
    looked_up = np.asarray(number(flat.dictionary.to_numpy(zero_copy_only=False)))  # type: ignore[operator]
    if not len(looked_up):
        return np.zeros(0, np.int32)
    numbers: Ints = looked_up[flat.indices.to_numpy(zero_copy_only=False)].astype(np.int32)
    return numbers
