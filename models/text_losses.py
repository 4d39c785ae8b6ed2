"""What the tower does not read of a catalogue's texts. Kept beside the model's curves, for the report and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contracts.prompt import budgets_of, is_longer
from models.artifact import told_of_training

if TYPE_CHECKING:
    from models.item_tower import ItemTower

TEXTS = "texts"
"""Its place in the file of the curves."""


@dataclass(frozen=True)
class TextLosses:
    """How many items of a catalogue lose a part of what their attributes say."""

    items: int  # of the catalogue
    max_tokens: int
    longer: int  # items whose text has more tokens
    unknown: int  # items with words that the base model has no token for
    budgets: Mapping[str, int]  # words of each attribute that has a budget
    cut: Mapping[str, int]  # items whose attribute has more

    @classmethod
    def of(
        cls,
        tower: ItemTower,
        texts: NDArray[np.object_],
        template: str,
        attributes: Mapping[str, Sequence[str | None]],
    ) -> TextLosses:
        """Of the items' texts [items], and of their ``attributes`` that have a budget in the template, [items] each."""
        distinct, items = np.unique(texts.astype(str), return_counts=True)
        longer, unknown = tower.losses(distinct.tolist())
        budgets = budgets_of(template)
        cut = {
            name: sum(1 for value in attributes[name] if value is not None and is_longer(value, words))
            for name, words in budgets.items()
        }
        return cls(len(texts), tower.max_tokens, int(items[longer].sum()), int(items[unknown].sum()), budgets, cut)

    def to_json(self) -> dict[str, object]:
        """As it stands in the file."""
        return asdict(self)

    @classmethod
    def of_model(cls, folder: Path) -> TextLosses | None:
        """Of the model in ``folder``; None where its folder is gone, or was made when nobody counted."""
        told = told_of_training(folder).get(TEXTS)
        return cls(**told) if told else None

    def __str__(self) -> str:
        told = [f"{self._of_all(self.longer)} are longer than {self.max_tokens} tokens and were cut"]
        for name, words in self.budgets.items():
            if self.cut[name]:
                told.append(f"{name} was cut to {words} words in {self._share(self.cut[name])}")
        if self.unknown:
            told.append(f"{self._share(self.unknown)} have words that the base model does not know")
        return "; ".join(told)

    def _of_all(self, items: int) -> str:
        return f"{items:,} of {self.items:,} ({self._share(items)})"

    def _share(self, items: int) -> str:
        return f"{items / max(self.items, 1):.1%}"
