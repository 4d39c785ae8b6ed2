"""What is measured: for each row of docs/techniques.md the default settings of the item tower with one change."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from contracts.settings import Tower


@dataclass(frozen=True)
class Variant:
    """One change of the default settings, as nightshift.toml says it, and as the table names its row."""

    row: str
    section: str = ""  # of the row's setting, below [training.tower]
    also: str = ""  # a change of [training.tower] that goes with it: some rules want another learning rate

    @property
    def name(self) -> str:
        """How it is called where there are several of a row."""
        return f"{self.row}, {self.also}" if self.also else self.row

    def of(self, default: Tower) -> Tower:
        """The changed settings, checked.

        Raises:
            pydantic.ValidationError: there is no such setting, or the value is out of its bounds.
        """
        own = tomllib.loads(self.row)
        changes = [tomllib.loads(self.also), {self.section: own} if self.section else own]
        return Tower.model_validate(reduce(_over, changes, default.model_dump()))


def _over(below: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    nested = {name: _over(below[name], each) for name, each in change.items() if isinstance(each, dict)}
    return {**below, **change, **nested}


DEFAULT, FROZEN = Variant('tuning = "lora"'), Variant('tuning = "frozen"')
"""What the others are compared with."""

VARIANTS = (
    DEFAULT,
    Variant('tuning = "lora"', also="learning_rate = 0.002"),
    Variant('tuning = "adalora"'),
    Variant('tuning = "ia3"'),
    Variant('tuning = "ia3"', also="learning_rate = 0.01"),
    Variant('tuning = "prefix"'),
    Variant('tuning = "prefix"', also="learning_rate = 0.01"),
    Variant('tuning = "prompt"'),
    Variant('tuning = "prompt"', also="learning_rate = 0.01"),
    Variant('tuning = "full"'),
    Variant('tuning = "full"', also="learning_rate = 0.0001"),
    FROZEN,
    Variant("tuned_layers = 2"),
    Variant("tuned_layers = 6"),
    Variant('pooling = "auto"'),
    Variant('pooling = "mean"'),
    Variant('pooling = "first"'),
    Variant('pooling = "last"'),
    Variant('inference = "int8"'),
    Variant('optimiser = "adamw"', "descent"),
    Variant('optimiser = "sgd"', "descent"),
    Variant('optimiser = "sgd"', "descent", also="learning_rate = 0.5"),
    Variant("weight_decay = 0.1", "descent"),
    Variant('schedule = "linear"', "descent"),
    Variant('schedule = "cosine"', "descent"),
    Variant('schedule = "constant"', "descent"),
    Variant("warm_up = 0.3", "descent"),
    Variant('averaging = "swa"', "descent"),
    Variant('averaging = "ema"', "descent"),
    Variant('precision = "bfloat16"', "descent"),
    Variant("accumulation = 4"),
    Variant("dropout = 0.0", "regularisation"),
    Variant("dropout = 0.3", "regularisation"),
    Variant("word_dropout = 0.2", "regularisation"),
    Variant('perturbation = "noise"', "regularisation"),
    Variant('perturbation = "fgm"', "regularisation"),
)
NOT_MEASURED = {
    "base_model": "not measured: one real model comes as a package, the default; tried with tiny ones of random weights"
}
"""Rows without a variant, and why."""
