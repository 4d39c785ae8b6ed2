"""What a weekly training goes on from: an earlier model as validation chose it, before it learnt the newest events.

That state, tower and encoder, has learnt nothing of the windows of its own ranker. The next model's windows begin no
earlier, so that what its ranker reads of them is as honest as after training from scratch (`models.fit`). The encoder
that the nights use has learnt those days, and is no beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.settings import Training
from models.artifact import IN_A_ROW, STARTED_FROM
from models.behaviours import Behaviours
from models.int8 import for_inference
from models.item_tower import ItemTower
from models.newest import BeforeNewest
from models.published import TOWER, PublishedModel
from models.text_vectors import TextVectors


@dataclass(frozen=True)
class Beginning:
    """An earlier model, as a training goes on from it."""

    name: str
    settings: Training
    behaviours: Behaviours
    in_a_row: int  # trainings, each of which went on from the one before, that led to it; 0: it was from scratch
    tower: ItemTower
    texts: TextVectors
    before: BeforeNewest
    item_ids: Sequence[str]  # of the catalogue that `before` numbers

    @classmethod
    def load(cls, folder: Path) -> Beginning:
        """From the folder of a judged model. Check it with `models.artifact.verify` first.

        Raises:
            ModelError: an earlier version of the code wrote it.
        """
        model = PublishedModel.load(folder)
        return cls(
            folder.name,
            model.settings,
            model.behaviours,
            int(model.about.get(IN_A_ROW, 0)),
            ItemTower.load(folder / TOWER, model.settings.tower.max_tokens),
            TextVectors.load(folder),
            BeforeNewest.load(folder),
            model.items.item_ids,
        )

    def misfit(self, settings: Training, behaviours: Behaviours, first_window: int) -> str | None:
        """Why a training cannot go on from it; None where it can.

        Args:
            settings: Of that training.
            behaviours: Those seen in its events.
            first_window: Where its ranker's windows begin, seconds.
        """
        for section in ("tower", "encoder"):
            if getattr(settings, section) != getattr(self.settings, section):
                return f"training.{section} was another one"
        if behaviours != self.behaviours:
            return "the shop's behaviours, or what they weigh, were others"
        if self.before.until > first_window:
            return "it has learnt of days that the new ranker is fitted on"
        if self.in_a_row >= settings.warm_start.in_a_row:
            return f"{self.in_a_row} trainings in a row have gone on from the one before (training.warm_start.in_a_row)"
        return None

    def texts_of(self, texts: Sequence[str]) -> TextVectors:
        """Vectors of a catalogue's texts: only those that it does not know are encoded."""
        own, distinct = self.settings.tower, sorted(set(texts))
        untuned = ItemTower.pre_trained(own)
        tuned = for_inference(self.tower, own)
        known_before = replace(self.texts, after=self.texts.before)
        before = known_before.encode(distinct, lambda texts: untuned.encode(texts, own.text_batch))
        after = self.texts.encode(distinct, lambda texts: tuned.encode(texts, own.text_batch))
        return TextVectors.of(distinct, before, after)

    @property
    def about(self) -> dict[str, object]:
        """What a model that began from it says of that."""
        return {STARTED_FROM: self.name, IN_A_ROW: self.in_a_row + 1}
