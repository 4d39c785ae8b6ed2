"""The one place that chooses device, precision and threads."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, TypeVar

import numpy as np
import torch

log = logging.getLogger("nightshift")
Part = TypeVar("Part")


def training_device() -> torch.device:
    """CUDA where it is visible; else the CPU, with a warning, because the full profile takes hours there."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    log.warning("No GPU is visible: training on the CPU. That suits the demo profile.")
    return torch.device("cpu")


def autocast(
    device: torch.device, precision: Literal["auto", "float32", "bfloat16"] = "auto"
) -> AbstractContextManager[object]:
    """Mixed precision: bfloat16, or by itself where the device is faster with it, which a CPU need not be."""
    # bfloat16 needs no loss scaling; older cards without it stay in float32
    faster = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "float32" or (precision == "auto" and not faster):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, and asks torch for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Torch has so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def by_threads(work: Callable[[Part], object], parts: Iterable[Part], threads: int) -> None:
    """Does the work of all parts in so many threads, each of which has torch to itself; one is the caller's own."""
    if threads == 1:
        for part in parts:
            work(part)
        return
    # what a thread tells torch holds for the process, and yet each has to tell it (docs/traps.md)
    with torch_threads(1), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, parts))
