"""What a model learns last: the newest events, with the passes over them that were best for it before.

A challenger learns those before its test window, and the gate judges it so. If it is promoted, it learns the window
too (`models.refit`), by the same code from the same beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from contracts.settings import Training
from models.artifact import BEFORE_NEWEST
from models.behaviours import Known
from models.catalogue import Catalogue
from models.cooccurrence import neighbours_of
from models.encoder_training import ID_EMBEDDING, EncoderTraining
from models.histories import Histories, Longs
from models.published import ItemKnowledge, TypedHabits, earlier_version
from models.user_encoder import UserEncoder
from models.warm import WarmItems

WARM, PASSES, AT_LEAST, UNTIL = "warm", "passes", "at_least", "until"


@dataclass(frozen=True)
class BeforeNewest:
    """The encoder as validation chose it, before it learns the newest events."""

    weights: Mapping[str, torch.Tensor]  # of the encoder
    warm: Longs  # [warm], items of the catalogue that have an id embedding in it
    passes: int  # over the events, that were best for it
    at_least: int  # events that make an item warm
    until: int  # seconds: it has learnt nothing at or after it

    @classmethod
    def of(cls, encoder: UserEncoder, warm: WarmItems, passes: int, at_least: int, until: int) -> BeforeNewest:
        """From an encoder that was fitted with so many passes."""
        weights = {name: value.clone() for name, value in encoder.state_dict().items()}
        return cls(weights, warm.items, passes, at_least, until)

    def save(self, folder: Path) -> None:
        """Writes one safetensors file beside the model."""
        own = {
            WARM: torch.from_numpy(self.warm),
            PASSES: torch.tensor(self.passes),
            AT_LEAST: torch.tensor(self.at_least),
            UNTIL: torch.tensor(self.until),
        }
        save_file({**{name: value.contiguous() for name, value in self.weights.items()}, **own}, folder / BEFORE_NEWEST)

    @classmethod
    def load(cls, folder: Path) -> BeforeNewest:
        """Reads what `save` wrote. Check the folder with `models.artifact.verify` first.

        Raises:
            ModelError: the model was made by a version that did not keep all of it.
        """
        tensors = load_file(folder / BEFORE_NEWEST)
        try:
            warm, passes, at_least, until = (tensors.pop(name) for name in (WARM, PASSES, AT_LEAST, UNTIL))
        except KeyError as error:
            raise earlier_version(folder.name) from error
        return cls(tensors, warm.numpy(), int(passes), int(at_least), int(until))

    def on(self, item_ids: Sequence[str], catalogue: Catalogue) -> BeforeNewest:
        """The same in the order of another ``catalogue``, of which it has read ``item_ids`` in their order.

        What is not in the catalogue any more is forgotten.
        """
        items = catalogue.positions(np.asarray(item_ids, dtype=object)[self.warm])
        rows = np.argsort(items, kind="stable")
        rows = rows[items[rows] >= 0]
        known = self.weights[ID_EMBEDDING]
        kept = torch.cat([known[:1], known[1:][torch.from_numpy(rows)]])
        return replace(self, weights={**self.weights, ID_EMBEDDING: kept}, warm=items[rows].astype(np.int64))

    def up_to(
        self, histories: Histories, known: Known, catalogue: Catalogue, training: EncoderTraining
    ) -> tuple[UserEncoder, ItemKnowledge]:
        """The encoder that has learnt these events too, and what is known of the items by then.

        Args:
            histories: All events of catalogue items before the moment.
            known: The same, as what is known then.
            catalogue: Numbers the items as ``warm`` does.
            training: Of the encoder.
        """
        # histories are cut at their newest events: of an item that was warm, too few may be left
        warm = WarmItems.of(histories, catalogue, self.at_least, self.warm)
        encoder = training.refitted(self.weights, self.passes, histories, warm.items, self.warm)
        return encoder, knowledge(known, catalogue, warm, training.settings)


def knowledge(known: Known, catalogue: Catalogue, warm: WarmItems, settings: Training) -> ItemKnowledge:
    """What there is to know of the items one by one, as of a moment."""
    return ItemKnowledge(
        list(catalogue.item_ids),
        warm.id_rows,
        neighbours_of(known, len(catalogue), settings.cooccurrence),
        TypedHabits.of(known.targets, known.now, catalogue, settings.features.prior),
    )
