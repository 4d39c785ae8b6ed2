"""Compiled sorting inside the segments of compressed rows.

Imported where it is called: numba takes half a second to import, and the drivers of Spark need none of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


@compiled
def order_in_segments(indptr: NDArray[np.int64], keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order by ``keys`` [keys, entries], the first one first, inside the segments of ``indptr``, [entries]; stable."""
    order = np.arange(keys.shape[1])
    for segment in range(len(indptr) - 1):
        mine = order[indptr[segment] : indptr[segment + 1]]
        for key in range(len(keys) - 1, -1, -1):
            mine[:] = mine[np.argsort(keys[key][mine], kind="mergesort")]
    return order


@compiled
def grouped(
    indptr: NDArray[np.int64], codes: NDArray[np.int32], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of the events by user, code and then as they come, [events], and where each pair begins in it, [pairs].

    A counting sort of each user's few codes, instead of a sort of all events.

    Args:
        indptr: Where each user's events begin, [users + 1].
        codes: Of the events, from 0 to ``size``.
        size: Number of codes.
    """
    order = np.empty(len(codes), np.int64)
    starts = np.empty(len(codes), np.int64)
    counts = np.zeros(size, np.int64)  # of a user's events by code, then where the next one goes
    pairs = 0
    for user in range(len(indptr) - 1):
        mine = codes[indptr[user] : indptr[user + 1]]
        distinct = np.empty(len(mine), codes.dtype)
        found = 0
        for code in mine:
            if counts[code] == 0:
                distinct[found] = code
                found += 1
            counts[code] += 1
        place = indptr[user]
        for code in np.sort(distinct[:found]):
            starts[pairs] = place
            pairs += 1
            place, counts[code] = place + counts[code], place
        for event in range(len(mine)):
            order[counts[mine[event]]] = indptr[user] + event
            counts[mine[event]] += 1
        for code in distinct[:found]:
            counts[code] = 0
    return order, starts[:pairs]
