"""The space in which texts are compared when candidates are ranked: the main directions of the tower's vectors.

The user encoder mixes an item's text with what it has learnt of the item's id. The ranker reads the text unmixed too.
A few dimensions of it say as much as all (docs/experiments.md), and cost a night a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from models.histories import Floats
from models.item_state import unit_rows

FILE = "text_space.safetensors"


@dataclass(frozen=True)
class TextSpace:
    """Principal components of a catalogue's texts."""

    mean: Floats  # [text size]
    basis: Floats  # [text size, size]

    @classmethod
    def of(cls, vectors: Floats, size: int) -> TextSpace:
        """The space of the tower's vectors [texts, text size], in ``size`` dimensions, or in all where there are fewer.

        All texts the same, as without a language model, have no direction: their vectors in it are zeros.
        """
        mean = vectors.mean(0, dtype=np.float64)
        centred: Floats = (vectors - mean).astype(np.float32)
        directions = unit_rows(centred)
        _, basis = np.linalg.eigh(directions.T @ directions)  # ascending
        return cls(mean.astype(np.float32), np.ascontiguousarray(basis[:, ::-1][:, :size], dtype=np.float32))

    def of_texts(self, vectors: Floats) -> Floats:
        """Unit vectors [texts, size] of the tower's vectors [texts, text size]; zeros for what is as the mean."""
        centred = vectors - self.mean
        centred[np.linalg.norm(centred, axis=1) < 1e-6] = 0
        inside: Floats = (centred @ self.basis).astype(np.float32)
        return unit_rows(inside)

    def save(self, folder: Path) -> None:
        """Writes one safetensors file."""
        save_file({"mean": self.mean, "basis": self.basis}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> TextSpace:
        """Reads what `save` wrote. Check the folder with `models.artifact.verify` first."""
        return cls(**load_file(folder / FILE))
