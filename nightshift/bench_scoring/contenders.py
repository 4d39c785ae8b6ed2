"""Who finds the best k of all items: our kernel, the libraries of the field, and a product alone, as the bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk

from contracts.settings import Scoring
from models.approximate import ApproximateIndex, make_lists
from models.devices import by_threads
from models.excluded import Excluded
from models.kernel import BLOCK_ITEMS, BLOCK_USERS, ItemIndex
from models.ragged import Floats, Ints, indptr_of

Search = Callable[[Floats, int], Ints | None]
"""Finds the items of the largest products, [users, k], for users [users, size] and k; the bound gives none."""

OURS, BOUND = "nightshift", "product alone"
EXCLUDING = "nightshift, one user excludes 20,000 items"
EXCLUDED_ITEMS = 20_000
APPROXIMATE = "nightshift, approximate"


def ours(items: Floats, _users: Floats, _threads: int) -> Search:
    """The kernel of the night."""
    return ItemIndex.of(items).best


def ours_excluding(items: Floats, users: Floats, _threads: int) -> Search:
    """The same; the first user must not get the 20,000 items that suit best."""
    index = ItemIndex.of(items)
    best = np.sort(np.argsort(-(items @ users[0]), kind="stable")[:EXCLUDED_ITEMS]).astype(np.int32)

    def search(users: Floats, k: int) -> Ints:
        counts = np.zeros(len(users), dtype=np.int64)
        counts[0] = len(best)
        return index.best(users, k, Excluded(indptr_of(counts), best))

    return search


def ours_approximate(items: Floats, _users: Floats, _threads: int) -> Search:
    """The approximate search of the night, by the default of ``[scoring] search_probes``."""
    lists = make_lists(items, np.ones(len(items), dtype=np.bool_))
    return ApproximateIndex.of(ItemIndex.of(items), lists, Scoring().search_probes).best


def faiss_flat(items: Floats, _users: Floats, threads: int) -> Search:
    """faiss's exact index of inner products."""
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)

    def search(users: Floats, k: int) -> Ints:
        faiss.omp_set_num_threads(threads)
        return index.search(users, k)[1].astype(np.int32)

    return search


def implicit_topk(items: Floats, _users: Floats, threads: int) -> Search:
    """The top-k of the library implicit, which its matrix factorisations recommend with."""

    def search(users: Floats, k: int) -> Ints:
        found: Ints = topk(items, users, k, num_threads=threads)[0]
        return found

    return search


def torch_topk(items: Floats, _users: Floats, _threads: int) -> Search:
    """What one writes first: a product and ``topk``, of 256 users at once."""
    keys = torch.from_numpy(items)

    def search(users: Floats, k: int) -> Ints:
        parts = [(part @ keys.T).topk(k).indices for part in torch.split(torch.from_numpy(users), 256)]
        return torch.cat(parts).numpy().astype(np.int32)

    return search


def bound(items: Floats, _users: Floats, threads: int) -> Search:
    """All products and nothing else, in blocks as the kernel has them: faster than that no exact search can be."""
    keys = torch.from_numpy(items)

    def multiply(users: torch.Tensor) -> None:
        room = torch.empty(len(users) * BLOCK_ITEMS)
        for part in torch.split(keys, BLOCK_ITEMS):
            torch.mm(users, part.T, out=room[: len(users) * len(part)].view(len(users), len(part)))

    def search(users: Floats, _: int) -> None:
        parts = torch.split(torch.from_numpy(users), min(BLOCK_USERS, -(-len(users) // threads)))
        by_threads(multiply, parts, threads)

    return search


CONTENDERS: Mapping[str, Callable[[Floats, Floats, int], Search]] = {
    OURS: ours,
    EXCLUDING: ours_excluding,
    APPROXIMATE: ours_approximate,
    "faiss IndexFlatIP": faiss_flat,
    "implicit topk": implicit_topk,
    "torch matmul + topk": torch_topk,
    BOUND: bound,
}
"""Name -> what makes ready, outside of the time, to search items [items, size] for users [users, size] with so many
threads."""
