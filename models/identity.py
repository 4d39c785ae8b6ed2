"""What names a model: all that it is made from. Other logs, texts, weights, settings or code give another model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts import model_ids
from contracts.settings import Settings
from models.artifact import file_hash
from models.catalogue import Catalogue
from models.histories import Histories
from models.metrics import Relevant
from models.pooling import FILE as POOLING

CODE = Path(__file__).parent
"""The package whose code fits a model."""


def model_id(as_of: date, made_from: Mapping[str, str]) -> str:
    """The id of the model that is made from these things."""
    return model_ids.model_id(as_of, hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest())


def made_from(
    settings: Settings, catalogue: Catalogue, histories: Histories, validation: tuple[Histories, Relevant], base: Path
) -> dict[str, str]:
    """A hash of each thing that decides what a model is.

    Args:
        settings: All of `training`, the behaviours and the windows count.
        catalogue: Its items, texts, attributes and availability.
        histories: Events before the test window.
        validation: Histories before, and what is relevant inside, the validation window.
        base: Folder of the pre-trained model.
    """
    before, relevant = validation
    ingest = settings.ingest
    chosen: list[object] = [settings.training.model_dump(), settings.splits.model_dump(), ingest.behaviours]
    chosen += [ingest.targets, settings.scoring.exclude_seen_days]
    if ingest.scale is not None:
        chosen.append(asdict(ingest.scale))
    return {
        "settings": _hash(json.dumps(chosen, sort_keys=True)),
        "catalogue": _hash(
            *map(str, catalogue.item_ids), *map(str, catalogue.texts), json.dumps(catalogue.names),
            catalogue.codes, catalogue.available,
        ),
        "snapshot": _hash(
            digest_of(histories), digest_of(before), relevant.indptr, relevant.items,
        ),
        "base model": _hash(*(file_hash(file) for file in sorted([*base.iterdir(), base / POOLING]) if file.is_file())),
        "code": _hash(*(file_hash(file) for file in sorted(CODE.rglob("*.py")))),
    }  # fmt: skip


def digest_of(histories: Histories) -> str:
    """A hash of all events."""
    return _hash(*vars(histories).values())


def _hash(*parts: str | NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
        digest.update(f"{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]
