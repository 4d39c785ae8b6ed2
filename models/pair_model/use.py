"""How the night uses a pair model: the best of each user's candidates are reordered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts.settings import Training
from models.artifact import PAIR_MODEL
from models.behaviours import Known
from models.candidates import Candidates
from models.catalogue import Catalogue
from models.histories import Floats, Ints, Longs
from models.item_state import ItemState
from models.pair_model.lists import are_best, raised
from models.pair_model.student import Student, read_of
from models.pair_model.texts import Teller
from models.recommend import Reordering

if TYPE_CHECKING:
    # transformers and peft take longer to import than torch: only who reads texts waits for them
    from models.pair_model.network import PairModel

WEIGHT = "pair_model.json"

Logits = Callable[[Known, ItemState, Longs, Ints], Floats]
"""Of pairs: what is known of the users, the items, and the user and the item of each pair; logits [pairs]."""


@dataclass(frozen=True)
class UsablePair:
    """What the night needs of a pair model."""

    says: PairModel | Student
    weight: float

    def save(self, folder: Path) -> None:
        """Writes safetensors and JSON below the folder of a model."""
        self.says.save(folder if isinstance(self.says, Student) else folder / PAIR_MODEL)
        (folder / WEIGHT).write_text(json.dumps({"weight": self.weight}) + "\n")

    @classmethod
    def load(cls, folder: Path, settings: Training) -> UsablePair | None:
        """Reads what `save` wrote; None where the model was trained without one."""
        own, file = settings.pair_model, folder / WEIGHT
        if not file.is_file():
            return None
        weight = float(json.loads(file.read_text())["weight"])
        if own.use == "rerank":
            from models.pair_model.network import PairModel

            return cls(PairModel.load(folder / PAIR_MODEL, own.max_tokens), weight)
        return cls(Student.load(folder), weight)

    def on(self, catalogue: Catalogue, settings: Training) -> Reordering:
        """Reorders candidates among the items of a catalogue."""
        own = settings.pair_model
        if isinstance(self.says, Student):
            return _Reordering(_of_vectors(self.says, settings), self.weight, own.best)
        return _Reordering(_of_texts(self.says, catalogue, settings), self.weight, own.reranked)


def _of_texts(model: PairModel, catalogue: Catalogue, settings: Training) -> Logits:
    teller = Teller(catalogue, settings.pair_model)

    def logits(known: Known, _state: ItemState, owner: Longs, items: Ints) -> Floats:
        told = np.array(teller.users(known), dtype=object)
        return model.logits(told[owner].tolist(), catalogue.texts[items].tolist(), settings.tower.text_batch)

    return logits


def _of_vectors(student: Student, settings: Training) -> Logits:
    def logits(known: Known, state: ItemState, owner: Longs, items: Ints) -> Floats:
        return student.logits(read_of(known, state.texts, settings.pair_model.user_items), owner, items, state.texts)

    return logits


@dataclass(frozen=True)
class _Reordering:
    """Adds to the scores of each user's best candidates what the logits say."""

    logits: Logits
    weight: float
    best: int

    def __call__(self, known: Known, state: ItemState, candidates: Candidates, scores: Floats) -> Floats:
        """New scores [candidates]. Users without a history stay as they are: there is nothing to read."""
        owner, items = candidates.users, candidates.items
        rows = are_best(owner, items, scores, self.best) & (known.past.lengths > 0)[owner]
        made = scores.copy()
        made[rows] = raised(owner[rows], scores[rows], self.logits(known, state, owner[rows], items[rows]), self.weight)
        return made
