"""A published model: what it consists of, how it is saved, and how its arrays meet another day's catalogue."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from models.catalogue import Catalogue
from models.cooccurrence import Neighbours
from models.features import Habits
from models.histories import Floats, Ints
from models.ranker import Ranker
from models.user_encoder import NO_OWN, UserEncoder
from spark_jobs.contracts.settings import Training

TOWER = "tower"
"""Folder of the item tower: a plain transformers model."""

ENCODER, ITEM_ARRAYS, ITEM_IDS, ABOUT = "encoder.safetensors", "items.safetensors", "items.json", "model.json"
SCORING_FILES = (ENCODER, ITEM_ARRAYS, ITEM_IDS, ABOUT)
"""What scoring needs besides the ranker's files; the tower is for embedding only."""


@dataclass(frozen=True)
class ItemKnowledge:
    """What training learned about items one by one, in the order of ``item_ids``."""

    item_ids: list[str]  # [items], ascending
    own: Ints  # [items], row of the encoder's learned part
    near: Neighbours
    habits: Habits

    def on(self, catalogue: Catalogue) -> ItemKnowledge:
        """The same knowledge in the order of another catalogue. A new item has no neighbours and mean habits."""
        old = np.full(len(catalogue), len(self.item_ids), dtype=np.int64)
        places = catalogue.positions(self.item_ids)
        old[places[places >= 0]] = np.flatnonzero(places >= 0)
        to_new = np.append(places, -1).astype(np.int32)  # the last one: no item
        k = self.near.items.shape[1]
        near_items = to_new[np.vstack([self.near.items, np.full((1, k), -1)])[old]]
        weights = np.vstack([self.near.weights, np.zeros((1, k), np.float32)])[old]
        return ItemKnowledge(
            list(catalogue.item_ids),
            np.append(self.own, NO_OWN)[old].astype(np.int32),
            Neighbours(near_items, np.where(near_items >= 0, weights, 0).astype(np.float32)),
            Habits(
                **{
                    each.name: np.append(values, values.mean() if len(values) else 0)[old].astype(np.float32)
                    for each in fields(Habits)
                    for values in (getattr(self.habits, each.name),)
                }
            ),
        )


@dataclass(frozen=True)
class PublishedModel:
    """All that scoring needs of a model."""

    about: dict[str, Any]  # model_id, snapshot_id, settings, behaviours, text_size
    encoder: UserEncoder
    ranker: Ranker
    items: ItemKnowledge

    def save(self, folder: Path) -> None:
        """Writes everything but the tower."""
        encoder = {name: value.contiguous() for name, value in self.encoder.state_dict().items()}
        save_file(encoder, folder / ENCODER)
        save_arrays(
            {
                "own": self.items.own,
                "near_items": self.items.near.items,
                "near_weights": self.items.near.weights,
                **{each.name: getattr(self.items.habits, each.name) for each in fields(Habits)},
            },
            folder / ITEM_ARRAYS,
        )
        (folder / ITEM_IDS).write_text(json.dumps(self.items.item_ids))
        (folder / ABOUT).write_text(json.dumps(self.about, indent=1, sort_keys=True) + "\n")
        self.ranker.save(folder)

    @classmethod
    def load(cls, folder: Path) -> PublishedModel:
        """Reads what `save` wrote. Check the folder with `models.artifact.verify` first."""
        about = json.loads((folder / ABOUT).read_text())
        arrays = load_arrays(folder / ITEM_ARRAYS)
        near = Neighbours(arrays.pop("near_items"), arrays.pop("near_weights"))
        own = arrays.pop("own")
        encoder = UserEncoder(
            about["text_size"],
            int(own.max(initial=0)),
            len(about["behaviours"]),
            Training.model_validate(about["settings"]),
        )
        encoder.load_state_dict(load_file(folder / ENCODER))
        items = ItemKnowledge(json.loads((folder / ITEM_IDS).read_text()), own, near, Habits(**arrays))
        return cls(about, encoder.eval(), Ranker.load(folder), items)

    def on(self, catalogue: Catalogue) -> PublishedModel:
        """The model with its item arrays in the order of ``catalogue``."""
        return replace(self, items=self.items.on(catalogue))

    def item_vectors(self, text_vectors: Floats, own: Ints) -> Floats:
        """Unit vectors [items, size] from the tower's vectors [items, text size] and the learned rows."""
        with torch.inference_mode():
            made = self.encoder.item_vectors(torch.from_numpy(text_vectors), torch.from_numpy(own).long())
        vectors: Floats = made.numpy()
        return vectors
