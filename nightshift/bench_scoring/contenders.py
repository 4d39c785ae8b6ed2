"""Who finds the best k of all items: our kernel, the libraries of the field, and a product alone, as the bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk

from models.excluded import Excluded
from models.kernel import BLOCK_ITEMS, BLOCK_USERS, ItemIndex
from models.ragged import Floats, Ints, indptr_of

Search = Callable[[Floats, int], Ints | None]
"""Finds the items of the largest products, [users, k], for users [users, size] and k; the bound gives none."""

OURS, BOUND = "nightshift", "product alone"
EXCLUDING = "nightshift, one user excludes 20,000 items"
EXCLUDED_ITEMS = 20_000


def ours(items: Floats, _: int) -> Search:
    """The kernel of the night."""
    return ItemIndex.of(items).best


def ours_excluding(items: Floats, _: int) -> Search:
    """The same; the first user must not get the 20,000 items that suit best."""
    index = ItemIndex.of(items)

    def search(users: Floats, k: int) -> Ints:
        best = np.argsort(-(items @ users[0]), kind="stable")[:EXCLUDED_ITEMS]
        counts = np.zeros(len(users), dtype=np.int64)
        counts[0] = len(best)
        return index.best(users, k, Excluded(indptr_of(counts), np.sort(best).astype(np.int32)))

    return search


def faiss_flat(items: Floats, threads: int) -> Search:
    """faiss's exact index of inner products."""
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)

    def search(users: Floats, k: int) -> Ints:
        faiss.omp_set_num_threads(threads)
        return index.search(users, k)[1].astype(np.int32)

    return search


def implicit_topk(items: Floats, threads: int) -> Search:
    """The top-k of the library implicit, which its matrix factorisations recommend with."""

    def search(users: Floats, k: int) -> Ints:
        found: Ints = topk(items, users, k, num_threads=threads)[0]
        return found

    return search


def torch_topk(items: Floats, _: int) -> Search:
    """What one writes first: a product and ``topk``, of 256 users at once."""
    keys = torch.from_numpy(items)

    def search(users: Floats, k: int) -> Ints:
        parts = [(part @ keys.T).topk(k).indices for part in torch.split(torch.from_numpy(users), 256)]
        return torch.cat(parts).numpy().astype(np.int32)

    return search


def bound(items: Floats, threads: int) -> Search:
    """All products and nothing else, in blocks as the kernel has them: faster than that no exact search can be."""
    keys = torch.from_numpy(items)

    def multiply(users: torch.Tensor) -> None:
        room = torch.empty(len(users) * BLOCK_ITEMS)
        for part in torch.split(keys, BLOCK_ITEMS):
            torch.mm(users, part.T, out=room[: len(users) * len(part)].view(len(users), len(part)))

    def search(users: Floats, _: int) -> None:
        parts = torch.split(torch.from_numpy(users), min(BLOCK_USERS, -(-len(users) // threads)))
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(multiply, parts))

    return search


CONTENDERS: Mapping[str, Callable[[Floats, int], Search]] = {
    OURS: ours,
    EXCLUDING: ours_excluding,
    "faiss IndexFlatIP": faiss_flat,
    "implicit topk": implicit_topk,
    "torch matmul + topk": torch_topk,
    BOUND: bound,
}
"""Name -> what makes ready to search the items [items, size] with so many threads."""


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Torch has so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
