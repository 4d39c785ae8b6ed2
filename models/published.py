"""A published model: what it consists of, how it is saved, and how its arrays meet another day's catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from contracts.errors import ModelError
from contracts.ratings import Scale
from contracts.settings import Training
from models.behaviours import Behaviours
from models.catalogue import PRODUCT_TYPE, Catalogue
from models.cooccurrence import Neighbours
from models.features.rows import feature_names
from models.histories import Floats, Histories, Ints
from models.item_state import Habits, habits_of
from models.ranker import Ranker
from models.text_space import TextSpace
from models.user_encoder import NO_ID, UserEncoder, vectors_of_items

TOWER = "tower"
"""Folder of the item tower: a plain transformers model."""

ENCODER, ITEM_ARRAYS, ITEM_NAMES, ABOUT = "encoder.safetensors", "items.safetensors", "items.json", "model.json"


@dataclass(frozen=True)
class TypedHabits:
    """Habits of items, and what is expected of an item that training has not seen, by its product type."""

    of_items: Habits  # [items]
    types: tuple[str | None, ...]  # [types]
    of_types: Habits  # [types + 1]; the last one is for any other type

    @classmethod
    def of(cls, targets: Histories, now: int, catalogue: Catalogue, prior: float) -> TypedHabits:
        """As of ``now`` (seconds), from the target events of all users.

        An item without events has the mean of its type, pulled to that of all; so has each type, and none.
        """
        types = catalogue.names[PRODUCT_TYPE]
        with_unseen = np.append(catalogue.codes[PRODUCT_TYPE], np.arange(len(types) + 1)).astype(np.int32)
        habits = habits_of(targets, now, with_unseen, prior)
        return cls(_part(habits, slice(len(catalogue))), types, _part(habits, slice(len(catalogue), None)))

    def on(self, catalogue: Catalogue, row: Ints) -> Habits:
        """Habits of another catalogue's items, whose ``row`` [items] among the known ones is -1 where they are new."""
        number = {name: position for position, name in enumerate(self.types)}
        types = [number.get(name, len(self.types)) for name in catalogue.names[PRODUCT_TYPE]]
        expected = np.array(types, dtype=np.int64)[catalogue.codes[PRODUCT_TYPE]]
        known = row >= 0
        habits = {each.name: getattr(self.of_types, each.name)[expected] for each in fields(Habits)}
        for name, values in habits.items():
            values[known] = getattr(self.of_items, name)[row[known]]
        return Habits(**habits)


def _part(habits: Habits, items: slice) -> Habits:
    return Habits(**{each.name: getattr(habits, each.name)[items] for each in fields(Habits)})


@dataclass(frozen=True)
class ItemKnowledge:
    """What training learned about items one by one, in the order of ``item_ids``."""

    item_ids: Sequence[str]  # [items], ascending
    id_rows: Ints  # [items], row of each one's id embedding
    neighbours: Neighbours
    habits: TypedHabits

    def on(self, catalogue: Catalogue) -> KnownItems:
        """The same knowledge in the order of another catalogue. A new item has no neighbours and its type's habits."""
        positions = catalogue.positions(self.item_ids)
        there = positions >= 0
        row = np.full(len(catalogue), -1, dtype=np.int32)
        row[positions[there]] = np.flatnonzero(there)
        to_new = np.append(positions, -1).astype(np.int32)  # the last one: no item
        k = self.neighbours.items.shape[1]
        items = to_new[np.vstack([self.neighbours.items, np.full((1, k), -1)])[row]]
        weights = np.vstack([self.neighbours.weights, np.zeros((1, k), np.float32)])[row]
        return KnownItems(
            np.append(self.id_rows, NO_ID)[row].astype(np.int32),
            Neighbours(items, np.where(items >= 0, weights, 0).astype(np.float32)),
            self.habits.on(catalogue, row),
        )


@dataclass(frozen=True)
class KnownItems:
    """`ItemKnowledge` in the order of one catalogue."""

    id_rows: Ints  # [items]
    neighbours: Neighbours
    habits: Habits


@dataclass(frozen=True)
class PublishedModel:
    """All that scoring needs of a model."""

    about: dict[str, Any]  # model_id, snapshot_id, settings, behaviours, text_size
    encoder: UserEncoder
    ranker: Ranker
    items: ItemKnowledge
    space: TextSpace

    @property
    def behaviours(self) -> Behaviours:
        """What the shop's behaviours meant when it was trained."""
        return behaviours_of(self.about)

    @property
    def settings(self) -> Training:
        """What it was trained with: the night uses these, not today's."""
        return Training.model_validate(self.about["settings"])

    def save(self, folder: Path) -> None:
        """Writes everything but the tower."""
        encoder = {name: value.contiguous() for name, value in self.encoder.state_dict().items()}
        save_file(encoder, folder / ENCODER)
        habits = self.items.habits
        save_arrays(
            {
                "id_rows": self.items.id_rows,
                "neighbours": self.items.neighbours.items,
                "neighbour_weights": self.items.neighbours.weights,
                **{f"item_{each.name}": getattr(habits.of_items, each.name) for each in fields(Habits)},
                **{f"type_{each.name}": getattr(habits.of_types, each.name) for each in fields(Habits)},
            },
            folder / ITEM_ARRAYS,
        )
        names = {"item_ids": list(self.items.item_ids), "types": list(habits.types)}
        (folder / ITEM_NAMES).write_text(json.dumps(names))
        (folder / ABOUT).write_text(json.dumps(self.about, indent=1, sort_keys=True) + "\n")
        self.ranker.save(folder)
        self.space.save(folder)

    @classmethod
    def load(cls, folder: Path) -> PublishedModel:
        """Reads what `save` wrote. Check the folder with `models.artifact.verify` first.

        Raises:
            ModelError: the ranker was fitted on other features than this version of the code gives, or the model was
                written by a version whose settings or networks were others.
        """
        about = json.loads((folder / ABOUT).read_text())
        try:
            settings = Training.model_validate(about["settings"])
        except ValidationError as error:
            raise earlier_version(about["model_id"]) from error
        behaviours = behaviours_of(about)
        arrays = load_arrays(folder / ITEM_ARRAYS)
        names = json.loads((folder / ITEM_NAMES).read_text())
        habits = (
            Habits(**{each.name: arrays[f"{kind}_{each.name}"] for each in fields(Habits)}) for kind in ("item", "type")
        )
        encoder = UserEncoder(
            about["text_size"],
            int(arrays["id_rows"].max(initial=0)),
            len(behaviours.names),
            settings.encoder,
            behaviours.scale,
        )
        try:
            encoder.load_state_dict(load_file(folder / ENCODER))
        except RuntimeError as error:
            raise earlier_version(about["model_id"]) from error
        items = ItemKnowledge(
            names["item_ids"],
            arrays["id_rows"],
            Neighbours(arrays["neighbours"], arrays["neighbour_weights"]),
            TypedHabits(next(habits), tuple(names["types"]), next(habits)),
        )
        ranker = Ranker.load(folder, feature_names(settings.features, behaviours))
        return cls(about, encoder.eval(), ranker, items, TextSpace.load(folder))

    def item_vectors(self, text_vectors: Floats, id_rows: Ints) -> Floats:
        """Vectors [items, size] from the tower's vectors [items, text size] and the rows of the id embedding."""
        return vectors_of_items(self.encoder, text_vectors, id_rows)


def behaviours_of(about: Mapping[str, Any]) -> Behaviours:
    """What ``model.json`` says of the behaviours.

    Raises:
        ModelError: it was written by a version that said it in another way.
    """
    if not isinstance(about["behaviours"], dict):
        raise earlier_version(about["model_id"])
    told = dict(about["behaviours"])
    scale = told.pop("scale", None)
    return Behaviours(**{name: tuple(values) for name, values in told.items()}, scale=scale and Scale(**scale))


def earlier_version(model_id: str) -> ModelError:
    """What is said of a model that this version cannot read."""
    return ModelError(
        f"Model {model_id} was made by an earlier version of the code, which this one cannot read. "
        "Fine-tune a model anew."
    )
