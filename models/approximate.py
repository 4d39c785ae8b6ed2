"""Approximate search: the items in lists of like ones, of which a user looks into the nearest few.

The lists are faiss's (`IndexIVFFlat`, inner product). The rules hold as in the exact search (`models.kernel`): only
what may be recommended is in the lists; more matches are looked up than are wanted, and what is excluded for the user,
or one too many of a category, is dropped from them; who is left with fewer than wanted is searched for exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contracts.errors import SettingsError
from models.excluded import Excluded
from models.kernel import Cap, ItemIndex
from models.ragged import Flags, Floats, Ints, Longs, indptr_of, padded, rank_in_group

SEED = 0
TRAINED_ON = 64
"""Items of the sample for each list. faiss asks for 39 at least; more made no better lists."""
LEAST_A_LIST = 39
"""Small catalogues have fewer lists, so that there are so many items for each."""
MOST_LOOKED_UP = 8
"""Times the matches wanted: for whom more would have to be looked up, the exact search is quicker."""


def faiss() -> Any:
    """The library, which only this search needs at night.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise SettingsError(
            '[scoring] search = "approximate" needs faiss, on every machine that scores, and it is not installed: '
            "pip install faiss-cpu -c constraints.txt"
        ) from error
    return faiss


def number_of_lists(items: int) -> int:
    """About 4·√items: as many centres are compared with each user as items of some lists."""
    return max(1, min(round(4 * math.sqrt(items)), items // LEAST_A_LIST))


def make_lists(vectors: Floats, allowed: Flags) -> Any:
    """faiss's index of the ``vectors`` [items, size] of what is ``allowed`` [items]; the same for the same vectors.

    Raises:
        SettingsError: faiss is not installed.
    """
    library = faiss()
    items = np.flatnonzero(allowed)
    of_items = np.ascontiguousarray(vectors[items])
    size = vectors.shape[1]
    index = library.IndexIVFFlat(
        library.IndexFlatIP(size), size, number_of_lists(len(items)), library.METRIC_INNER_PRODUCT
    )
    index.cp.seed, index.cp.max_points_per_centroid = SEED, TRAINED_ON
    library.omp_set_num_threads(1)  # sums of several threads round as they come
    index.train(of_items if len(items) else np.zeros((1, size), dtype=np.float32))
    # of equal products faiss keeps the larger number, and we the smaller item
    index.add_with_ids(of_items, _turned(items, len(vectors)).astype(np.int64))
    return index


def save_lists(index: Any, file: Path) -> None:
    """Writes what `make_lists` gave."""
    faiss().write_index(index, str(file))


def load_lists(file: Path) -> Any:
    """Reads what `save_lists` wrote; the vectors stay in the file, whose pages all workers of a machine share.

    Raises:
        SettingsError: faiss is not installed.
    """
    library = faiss()
    return library.read_index(str(file), library.IO_FLAG_MMAP | library.IO_FLAG_READ_ONLY)


def _turned(numbers: Any, items: int) -> Any:
    """Numbers of items counted from the end of all ``items``, and back."""
    return items - 1 - numbers


@dataclass(frozen=True)
class ApproximateIndex:
    """The same items as those of an exact index, in lists."""

    exact: ItemIndex
    lists: Any  # of `make_lists`, over the same items
    centres: ItemIndex  # of the lists
    probes: int  # lists that a user looks into

    @classmethod
    def of(cls, exact: ItemIndex, lists: Any, probes: int) -> ApproximateIndex:
        """The lists beside the exact index that they approximate; ``probes`` of them are looked into."""
        centres = ItemIndex.of(lists.quantizer.reconstruct_n(0, lists.nlist))
        return cls(exact, lists, centres, min(probes, lists.nlist))

    def best(self, users: Floats, k: int, excluded: Excluded | None = None, cap: Cap | None = None) -> Ints:
        """What `ItemIndex.best` gives, [users, k], but for items of lists that a user did not look into.

        What a user gets does not depend on the other users.
        """
        excluded = excluded or Excluded.nothing(len(users))
        looked_up = self._looked_up(k, np.diff(excluded.indptr), cap)
        looked_up[~users.any(axis=1)] = 0
        found = np.full((len(users), k), -1, dtype=np.int32)
        for count in np.unique(looked_up[looked_up > 0]).tolist():
            rows = np.flatnonzero(looked_up == count)
            found[rows] = _within(self._nearest(users[rows], count), k, excluded.take(rows), cap, self._items)
        short = np.flatnonzero((found < 0).any(axis=1))
        if len(short):
            found[short] = self.exact.best(users[short], k, excluded.take(short), cap)
        return found

    @property
    def _items(self) -> int:
        """All items of the catalogue."""
        return len(self.exact.in_sample)

    def _looked_up(self, k: int, excluded: Longs, cap: Cap | None) -> Longs:
        """How many matches are looked up for each user, [users]: k, doubled until there is room for what is dropped.

        0 where that is too many. A cap drops as many as it drops, so there is twice the room for it.
        """
        counts = np.zeros(len(excluded), dtype=np.int64)
        count = 2 * k if cap else k
        while 0 < count <= min(MOST_LOOKED_UP * k, len(self.exact.items)):
            counts[(counts == 0) & (excluded + k <= count)] = count
            count *= 2
        return counts

    def _nearest(self, users: Floats, count: int) -> Ints:
        """The best ``count`` of the nearest lists for each user, best first, ties by item, [users, count]."""
        near, products = self.centres.best_and_scores(users, self.probes)
        self.lists.nprobe = self.probes
        faiss().omp_set_num_threads(torch.get_num_threads())
        scores, numbers = self.lists.search_preassigned(
            np.ascontiguousarray(users), count, near.astype(np.int64), products
        )
        items = np.where(numbers < 0, -1, _turned(numbers, self._items))
        order = np.lexsort((items, -scores), axis=1)
        return np.take_along_axis(items, order, axis=1).astype(np.int32)


def _within(matches: Ints, k: int, excluded: Excluded, cap: Cap | None, items: int) -> Ints:
    """The first ``k`` of the matches [users, any] that the rules allow; ``-1`` pads."""
    if len(excluded.items):
        matches = excluded.removed_from(matches, matches.shape[1], items)
    if cap:
        user, place = np.nonzero(matches >= 0)
        item = matches[user, place]
        keys = user * (int(cap.categories.max(initial=0)) + 1) + cap.categories[item]
        fits = rank_in_group(keys, place) < cap.most
        counts = np.bincount(user[fits], minlength=len(matches))
        return padded(indptr_of(counts), item[fits], k, -1).astype(np.int32)
    return matches[:, :k]
