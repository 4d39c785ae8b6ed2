"""Rows of different lengths as flat arrays: compressed rows, and ranks within groups.

Row ``r`` of a compressed-row array owns the entries ``indptr[r]:indptr[r + 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def indptr_of(counts: NDArray[Any]) -> Longs:
    """Where each row starts and ends, [rows + 1], from the number of its entries [rows]."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def row_of_each(indptr: Longs) -> Longs:
    """The row of every entry, [entries]."""
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))


def kept(indptr: Longs, keep: Flags) -> Longs:
    """``indptr`` of the same rows with only the entries where ``keep`` [entries] is true."""
    return indptr_of(np.bincount(row_of_each(indptr)[keep], minlength=len(indptr) - 1))


def gather(indptr: Longs, rows: NDArray[np.integer[Any]]) -> tuple[Longs, Longs]:
    """``indptr`` of the given rows in the given order, and the index of each of their entries."""
    counts = np.diff(indptr)[rows]
    made = indptr_of(counts)
    return made, np.arange(made[-1]) + np.repeat(indptr[rows] - made[:-1], counts)


def rank_in_sorted(group: NDArray[Any]) -> Longs:
    """How many entries of the same group stand before each one, [entries], for an ascending ``group``."""
    starts = starts_of(group)
    ranks: Longs = np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
    return ranks


def starts_of(group: NDArray[Any]) -> Longs:
    """Where each group begins, [groups], for an ascending ``group`` [entries]."""
    return np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]])[: len(group)])


def rank_in_group(group: NDArray[Any], *keys: NDArray[Any]) -> Longs:
    """Rank of each entry in its group by ``keys``, the first one first, smallest is 0; ties as they come, [entries]."""
    order = _order(group, keys)
    ranks = np.empty(len(group), dtype=np.int64)
    ranks[order] = rank_in_sorted(group[order])
    return ranks


def first_in_group(group: NDArray[Any], count: int, *keys: NDArray[Any]) -> tuple[Longs, Longs]:
    """The ``count`` first entries of each group by ``keys``, and their ranks: (index, rank), in order of the groups."""
    order = _order(group, keys)
    ranks = rank_in_sorted(group[order])
    return order[ranks < count], ranks[ranks < count]


def _order(group: NDArray[Any], keys: Sequence[NDArray[Any]]) -> Longs:
    """Order of the entries by group and then by ``keys``, ties as they come, [entries]."""
    if not keys or (group[1:] < group[:-1]).any():
        return np.lexsort((*reversed(keys), group))
    # most callers have their groups together: to sort each by itself takes a third of the time
    from models.segments import order_in_segments  # see there

    return order_in_segments(indptr_of(np.diff(starts_of(group), append=len(group))), np.stack(keys).astype(np.float64))


def padded(indptr: Longs, values: NDArray[Any], width: int, fill: Any) -> NDArray[Any]:
    """Rows side by side, [rows, width]: cut after ``width`` entries, ``fill`` behind shorter ones."""
    rows = row_of_each(indptr)
    ranks = np.arange(len(values)) - indptr[rows]
    made = np.full((len(indptr) - 1, width), fill, dtype=values.dtype)
    made[rows[ranks < width], ranks[ranks < width]] = values[ranks < width]
    return made


def find(keys: Longs, wanted: Longs) -> Longs:
    """Position of each of ``wanted`` in the ascending ``keys``; ``len(keys)`` where it is missing."""
    position = np.searchsorted(keys, wanted)
    is_there = np.append(keys, -1)[position] == wanted
    return np.where(is_there, position, len(keys))
