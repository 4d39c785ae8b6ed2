"""The scoring kernel: the best matches of users among all items, exactly, block by block."""

from __future__ import annotations

import numpy as np
import torch

from models.ragged import Flags, Floats, Ints

BLOCK_ITEMS = 8192
"""Items matched at once: a block of scores stays in the processor's cache."""


def best_matches(users: Floats, vectors: Floats, allowed: Flags, k: int) -> Ints:
    """The ``k`` allowed items with the largest inner product for each user, exactly, [users, k].

    Goes through the items block by block, and never holds more than users x block scores. Ties at the end of
    a block's k may fall either way; the list itself breaks ties by item. Users with a zero vector get -1.
    """
    candidates = np.flatnonzero(allowed)
    k = min(k, len(candidates))
    matches = np.full((len(users), k), -1, dtype=np.int32)
    if not k or not len(users):
        return matches
    queries, keys = torch.from_numpy(users), torch.from_numpy(np.ascontiguousarray(vectors[candidates]))
    values: list[torch.Tensor] = []
    items: list[torch.Tensor] = []
    for start in range(0, len(candidates), BLOCK_ITEMS):
        scores = queries @ keys[start : start + BLOCK_ITEMS].T  # [users, block]
        best = scores.topk(min(k, scores.shape[1]), dim=1)
        values.append(best.values)
        items.append(best.indices + start)
    value, item = torch.cat(values, 1).numpy(), torch.cat(items, 1).numpy()
    order = np.lexsort((item, -value), axis=1)[:, :k]
    matches[:] = candidates[np.take_along_axis(item, order, 1)]
    matches[~users.any(axis=1)] = -1
    return matches
