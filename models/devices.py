"""The one place that chooses device, precision and threads."""

from __future__ import annotations

import logging
import random
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

log = logging.getLogger("nightshift")


def training_device() -> torch.device:
    """CUDA where it is visible; else the CPU, with a warning, because the full profile takes hours there."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    log.warning("No GPU is visible: training on the CPU. That suits the demo profile.")
    return torch.device("cpu")


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision where the device is faster with it: bfloat16 or float16 on CUDA, float32 on a CPU."""
    if device.type != "cuda":
        return nullcontext()
    # bfloat16 needs no loss scaling; older cards without it stay in float32
    return torch.autocast("cuda", torch.bfloat16) if torch.cuda.is_bf16_supported() else nullcontext()


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, and asks torch for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
