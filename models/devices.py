"""The one place that chooses device, precision and threads."""

from __future__ import annotations

import logging
import random
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
import torch

log = logging.getLogger("nightshift")


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
