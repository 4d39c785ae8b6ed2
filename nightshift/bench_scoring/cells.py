"""One cell of the benchmark: a shape, everyone's time on the same vectors in turns, and the memory it takes."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.devices import torch_threads
from models.ragged import Floats, Ints
from nightshift.bench_scoring.contenders import BOUND, CONTENDERS, EXCLUDING, OURS
from nightshift.bench_scoring.whole_user import ROUNDS

PAIRS = 1.5e8
"""About so many products a turn, of 512 users at least."""


@dataclass(frozen=True)
class Shape:
    """What is searched."""

    items: int
    size: int  # dimensions
    k: int
    threads: int

    @property
    def users(self) -> int:
        """A multiple of the kernel's blocks for every thread."""
        return 512 * self.threads * max(1, round(PAIRS / self.items / 512))

    def vectors(self) -> tuple[Floats, Floats]:
        """Users and items with a seed: directions at random, items of unequal length as popularity makes them."""
        random = np.random.default_rng(self.items + self.size)
        users = random.standard_normal((self.users, self.size), dtype=np.float32)
        items = random.standard_normal((self.items, self.size), dtype=np.float32)
        items *= random.lognormal(0, 0.2, (self.items, 1)).astype(np.float32)
        return users, items


@dataclass(frozen=True)
class Timed:
    """How one contender did."""

    name: str
    shape: Shape
    pairs_per_second: float
    of_bound: float  # share of the product's rate
    peak_bytes: int  # beyond what was there before, vectors and index not counted
    same: float | None  # share of the kernel's items that were found: of approximate search, its recall
    preparing: float  # seconds to make the index


def measured(shape: Shape, only: tuple[str, ...] = ()) -> list[Timed]:
    """Everyone on one shape; ``only`` those whose names hold one of these words, beside ours and the bound."""
    users, items = shape.vectors()
    wanted = {
        name: make
        for name, make in CONTENDERS.items()
        if not only or name in (OURS, BOUND) or any(word in name for word in only)
    }
    seconds: dict[str, float] = dict.fromkeys(wanted, float("inf"))
    peaks: dict[str, int] = {}
    found: dict[str, Ints | None] = {}
    searches, preparing = {}, {}
    for name, make in wanted.items():
        begun = time.perf_counter()
        searches[name] = make(items, users, shape.threads)
        preparing[name] = time.perf_counter() - begun
    for turn in range(ROUNDS):
        for name, search in searches.items():
            with torch_threads(shape.threads):
                search(users[:64], shape.k)  # warm
                before = _least_memory()
                begun = time.perf_counter()
                lists = search(users, shape.k)
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
            if turn == 0:
                peaks[name], found[name] = max(_memory("VmHWM") - before, 0), lists
    rates = {name: len(users) * len(items) / took for name, took in seconds.items()}
    return [
        Timed(name, shape, rate, rate / rates[BOUND], peaks[name], _same(name, found), preparing[name])
        for name, rate in rates.items()
    ]


def _same(name: str, found: Mapping[str, Ints | None]) -> float | None:
    """Share of the kernel's items that ``name`` found too, in any order: sums round differently."""
    lists, kernels = found[name], found[OURS]
    if name in (EXCLUDING, BOUND) or lists is None or kernels is None:
        return None
    shared = [np.isin(*pair).mean() for pair in zip(kernels, lists, strict=True)]
    return float(np.mean(shared))


def _memory(name: str) -> int:
    """Bytes of this process, as Linux tells: VmRSS now, VmHWM at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _least_memory() -> int:
    """Bytes of this process when it has given back what it does not need; VmHWM counts from here on."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")
