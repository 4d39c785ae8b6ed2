"""The tower's vectors of the texts that training encoded, kept with the model: nobody encodes them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from models.histories import Floats, Ints

FILE = "text_vectors.safetensors"

Encode = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors [texts, size], as `models.item_tower.ItemTower.encode`."""


@dataclass(frozen=True)
class TextVectors:
    """Unit vectors of distinct texts, before and after tuning. A text is known by its SHA-256."""

    hashes: NDArray[np.uint8]  # [texts, 32]
    before: Floats  # [texts, size]
    after: Floats  # [texts, size]

    @classmethod
    def of(cls, texts: Sequence[str], before: Floats, after: Floats) -> TextVectors:
        """The vectors of ``texts``."""
        return cls(np.frombuffer(b"".join(map(_hash, texts)), dtype=np.uint8).reshape(-1, 32), before, after)

    @classmethod
    def load(cls, folder: Path) -> TextVectors:
        """Reads what `save` wrote. Check the folder with `models.artifact.verify` first."""
        return cls(**load_file(folder / FILE))

    def save(self, folder: Path) -> None:
        """Writes one safetensors file."""
        save_file({"hashes": self.hashes, "before": self.before, "after": self.after}, folder / FILE)

    @cached_property
    def _place(self) -> dict[bytes, int]:
        """Row of each hash; made once, because a worker asks with every slice of the catalogue."""
        return {row.tobytes(): number for number, row in enumerate(self.hashes)}

    def rows(self, texts: Sequence[str]) -> Ints:
        """Row of each text; -1 where it is not known."""
        return np.array([self._place.get(_hash(text), -1) for text in texts], dtype=np.int32)

    def tuned(self, texts: Sequence[str]) -> Floats:
        """Tuned vectors [texts, size] of texts that training encoded: all of its catalogue are."""
        return self.after[self.rows(texts)]

    def encode(self, texts: Sequence[str], encode: Encode) -> Floats:
        """Tuned vectors [texts, size]: known ones as they are, the others, if there are any, by ``encode``."""
        rows = self.rows(texts)
        vectors = self.after[rows]
        new = np.flatnonzero(rows < 0)
        if new.size:
            vectors[new] = encode([texts[each] for each in new.tolist()])
        return vectors


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
