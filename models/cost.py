"""What a fine-tuning cost: time, device, memory. Kept beside the model's curves, for the report and the log."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from models.artifact import told_of_training

COST = "cost"
"""Its place in the file of the curves."""


@dataclass(frozen=True)
class Cost:
    """What the process of a fine-tuning took."""

    seconds: float  # of all, reading the snapshot included
    parts: Mapping[str, float]  # seconds of the longest ones
    device: str
    memory: int  # highest, bytes of the process
    device_memory: int | None  # highest, bytes on the GPU; None without one

    @classmethod
    def so_far(cls, seconds: float, parts: Mapping[str, float]) -> Cost:
        """Of this process, which has trained for ``seconds``."""
        import torch

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        if torch.cuda.is_available():
            return cls(seconds, parts, torch.cuda.get_device_name(), peak, torch.cuda.max_memory_allocated())
        return cls(seconds, parts, f"CPU, {torch.get_num_threads()} threads", peak, None)

    def to_json(self) -> dict[str, object]:
        """As it stands in the file."""
        return asdict(self)

    @classmethod
    def of_model(cls, folder: Path) -> Cost | None:
        """What the model in ``folder`` cost; None where its folder is gone, or was made when nobody wrote it down."""
        told = told_of_training(folder).get(COST)
        return cls(**told) if told else None

    def __str__(self) -> str:
        parts = ", ".join(f"{name[0].lower()}{name[1:]} {duration(seconds)}" for name, seconds in self.parts.items())
        memory = f"{self.memory / 1e9:.1f} GB of memory"
        if self.device_memory is not None:
            memory += f", {self.device_memory / 1e9:.1f} GB of the GPU's"
        return f"{duration(self.seconds)} ({parts}) on {self.device}, {memory}"


def duration(seconds: float) -> str:
    """Time as people say it, for example ``41 s``, ``2 min 5 s`` or ``3 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
