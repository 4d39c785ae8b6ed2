"""The catalogue as arrays: items are numbered by ascending item id, so that ties by number are ties by id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from contracts.columns import Columns as C
from models.histories import Flags, Floats, Histories, Ints, Longs
from models.ragged import indptr_of, row_of_each

ATTRIBUTES = (C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND)
"""What the ranker knows of an item besides its text."""
CATEGORY, PRODUCT_TYPE = ATTRIBUTES.index(C.CATEGORY), ATTRIBUTES.index(C.PRODUCT_TYPE)

CATALOGUE_COLUMNS = (C.ITEM_ID, C.TEXT, C.AVAILABLE, *ATTRIBUTES)
"""Columns of `items` that make a catalogue."""


@dataclass(frozen=True)
class Catalogue:
    """Items and what the ranker reads of them."""

    item_ids: pd.Index[str]  # [items], ascending
    texts: NDArray[np.object_]  # [items]
    codes: Ints  # [attributes, items], in the order of ATTRIBUTES; a missing attribute has a code of its own
    names: tuple[tuple[str | None, ...], ...]  # of each attribute: the value behind each code, None for a missing one
    available: Flags  # [items]

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def from_arrow(cls, items: pa.Table) -> Catalogue:
        """From rows of the table `items` with CATALOGUE_COLUMNS, in any order."""
        frame = items.select(list(CATALOGUE_COLUMNS)).to_pandas()
        if not frame[C.ITEM_ID].is_monotonic_increasing:
            frame = frame.sort_values(C.ITEM_ID, kind="stable")
        coded = [pd.factorize(frame[name], sort=True, use_na_sentinel=False) for name in ATTRIBUTES]
        return cls(
            pd.Index(frame[C.ITEM_ID].to_numpy(object)),
            frame[C.TEXT].to_numpy(object),
            np.stack([codes for codes, _ in coded]).astype(np.int32),
            tuple(tuple(None if pd.isna(name) else str(name) for name in names) for _, names in coded),
            frame[C.AVAILABLE].to_numpy(bool),
        )

    def positions(self, item_ids: Sequence[str] | NDArray[np.object_] | pa.Array) -> Ints:
        """Number of each item; -1 where the catalogue does not hold it."""
        return self.item_ids.get_indexer(pd.Index(np.asarray(item_ids, dtype=object))).astype(np.int32)

    def is_one_of(self, items: Sequence[str], categories: Sequence[str]) -> Flags:
        """Which items have one of these ids or are of one of these categories, [items]."""
        listed = np.array([name in categories for name in self.names[CATEGORY]], dtype=np.bool_)
        chosen: Flags = np.isin(self.item_ids.to_numpy(object), list(items)) | listed[self.codes[CATEGORY]]
        return chosen


def histories_from_arrow(rows: pa.Table, catalogue: Catalogue, behaviours: Sequence[str]) -> Histories:
    """Histories of the users of ``rows``, in their order.

    Args:
        rows: `item_ids`, `behaviours`, `times`, `sessions` and `ratings` as lists, oldest first.
        catalogue: Numbers the items.
        behaviours: Names in the order of their numbers.
    """
    indptr = _indptr(rows[C.ITEM_IDS])
    return Histories.from_events(
        len(indptr) - 1,
        row_of_each(indptr),
        _numbers(rows[C.ITEM_IDS], catalogue.positions),
        _numbers(rows[C.BEHAVIOURS], lambda names: pd.Index(list(behaviours)).get_indexer(pd.Index(names))),
        _integers(rows[C.TIMES]),
        _integers(rows[C.SESSIONS]),
        _ratings(rows[C.RATINGS], indptr),
    )


def lists_from_arrow(column: pa.ChunkedArray, catalogue: Catalogue) -> tuple[Longs, Ints]:
    """A column of item id lists in compressed-row form: (indptr [rows + 1], items); unknown items are left out."""
    indptr = _indptr(column)
    row, item = row_of_each(indptr), _numbers(column, catalogue.positions)
    row, item = row[item >= 0], item[item >= 0]
    return indptr_of(np.bincount(row, minlength=len(indptr) - 1)), item[np.lexsort((item, row))]


def _indptr(column: pa.ChunkedArray) -> Longs:
    """Where each list of a column starts and ends, [rows + 1]."""
    lists = column.combine_chunks()
    return indptr_of(np.diff(lists.offsets.to_numpy()) if len(lists) else np.zeros(0, np.int64))


def _integers(column: pa.ChunkedArray) -> Longs:
    """All values of a column of lists."""
    values: Longs = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values


def _ratings(column: pa.ChunkedArray, indptr: Longs) -> Floats:
    """All values of a column of lists, NaN where a value, or the whole list, is null; the lists are of ``indptr``."""
    ratings = np.full(indptr[-1], np.nan, dtype=np.float32)
    if column.null_count < len(column):
        lists = column.combine_chunks()
        rated = np.repeat(lists.is_valid().to_numpy(zero_copy_only=False), np.diff(indptr))
        ratings[rated] = lists.flatten().to_numpy(zero_copy_only=False)
    return ratings


def _numbers(column: pa.ChunkedArray, number: Callable[[NDArray[np.object_]], NDArray[np.integer[Any]]]) -> Ints:
    """Numbers of the strings in a column of lists. Only the distinct ones are looked up."""
    flat = column.combine_chunks().flatten().dictionary_encode()
    of_distinct = np.asarray(number(flat.dictionary.to_numpy(zero_copy_only=False)))
    if not len(of_distinct):
        return np.zeros(0, np.int32)
    numbers: Ints = of_distinct[flat.indices.to_numpy(zero_copy_only=False)].astype(np.int32)
    return numbers
