"""One variant, tuned by production code and measured: what its texts recommend alone, and what it took."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contracts.cli import log, timed
from contracts.errors import NightshiftError
from contracts.files import write_atomically
from contracts.settings import Regularisation, Settings, Tower
from models.adapters import FROM_THE_FIRST
from models.artifact import file_hash
from models.devices import seed_everything
from models.evaluation import ALL, GATE, NEW, TextAlone, measured
from models.excluded import Excluded
from models.fit import TrainingData, fit_tower
from models.identity import made_from
from models.int8 import for_inference
from models.item_tower import ItemTower, base_model_folder
from models.metrics import Doubles, Relevant
from models.text_vectors import TextVectors
from models.tower_tuning import Untuned
from models.warm import WarmItems, events_of_warm
from nightshift.bench_model.protocols import Case

FOLDER = "bench-techniques"
"""Where what was measured is kept, below NIGHTSHIFT_HOME."""
SAMPLE, TIMES = 256, 3
"""Texts that are encoded to see how fast that is, and how often: the fastest time counts."""


@dataclass(frozen=True)
class Measured:
    """What one variant gave; or why it cannot be done. Seconds are those of `clock`."""

    of_users: Doubles  # NDCG@10 by text alone, of each judged user
    of_new: Doubles  # the same of lists of what is new to the user; NaN for who took nothing that is
    curve: Mapping[int, float]  # MRR of the held-out pairs after so many steps; empty without tuning
    tuning: float  # seconds, the validations among them
    encoding: float  # seconds for `SAMPLE` texts, as a night encodes those that training did not know
    refused: str = ""

    @classmethod
    def refusal(cls, why: str) -> Measured:
        """Nothing but a reason."""
        nothing = np.zeros(0)
        return cls(nothing, nothing, {}, 0.0, 0.0, why)

    def to_json(self) -> str:
        """For a file; NaN is null."""
        values = asdict(self) | {name: _nullable(getattr(self, name)) for name in ("of_users", "of_new")}
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Measured:
        """What `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        of_users, of_new = (np.array(values.pop(name), dtype=np.float64) for name in ("of_users", "of_new"))
        curve = {int(step): value for step, value in values.pop("curve").items()}
        return cls(of_users, of_new, curve, **values)


def _nullable(values: Doubles) -> list[float | None]:
    return [None if np.isnan(each) else float(each) for each in values]


def clock() -> float:
    """Seconds of the processor, of all threads: others may use the machine too. Of the wall where a GPU works."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time()


class Beginnings:
    """What untuned towers make of the texts. The last one is kept: variants that begin alike share it."""

    def __init__(self) -> None:
        self._known: tuple[Sequence[str], Tower, Untuned] | None = None

    def __call__(self, texts: Sequence[str], settings: Tower) -> Untuned:
        """As `Untuned.of`."""
        begins = beginning(settings)
        if not self._known or self._known[:2] != (texts, begins):
            self._known = None  # two at once might not fit into the memory
            self._known = texts, begins, Untuned.of(texts, settings)
        return self._known[2].copy()


def beginning(settings: Tower) -> Tower:
    """The settings without what plays no part before the first step: equal ones share their `Untuned`."""
    return Tower(
        base_model=settings.base_model,
        pooling=settings.pooling,
        max_tokens=settings.max_tokens,
        text_batch=settings.text_batch,
        tuning="frozen" if settings.tuning in FROM_THE_FIRST else "lora",
        tuned_layers=settings.tuned_layers,
        regularisation=Regularisation(dropout=settings.regularisation.dropout),
    )


@dataclass(frozen=True)
class Bench:
    """What all variants share: the validation window, and what is learnt before it."""

    judging: Case  # of the validation window
    data: TrainingData
    warm: WarmItems
    first_window: int
    settings: Settings
    made_from: Mapping[str, str]
    beginnings: Beginnings

    @classmethod
    def of(cls, judging: Case, settings: Settings) -> Bench:
        """Of a case whose window is the validation window: nothing after it is learnt from, as in `models.fit`."""
        data = replace(judging, now=judging.now + judging.horizon).data
        data = replace(data, behaviours=data.behaviours.seen_in(data.histories))
        first_window = data.first_window(settings.training)
        older = data.histories.between(0, first_window)
        at_least = events_of_warm(older, settings.training.encoder.min_item_events)
        warm = WarmItems.of(older, data.catalogue, at_least)
        base = base_model_folder(settings.training.tower.base_model)
        # of the others no text is needed: an empty one costs nothing
        texts = np.where(warm.is_warm, data.catalogue.texts, "").astype(object)
        return cls(
            judging,
            replace(data, catalogue=replace(data.catalogue, texts=texts)),
            warm,
            first_window,
            settings,
            made_from(settings, data.catalogue, data.histories, (data.judge.histories, data.judge.relevant), base)
            | {"bench": file_hash(Path(__file__))},
            Beginnings(),
        )

    def kept(self, tower: Tower) -> Path:
        """Where the measurement of a variant is kept: other data, settings or code have another place."""
        made_from = json.dumps([self.made_from, tower.model_dump()], sort_keys=True)
        name = hashlib.sha256(made_from.encode()).hexdigest()[:16]
        return self.settings.home / FOLDER / f"{name}.json"

    def measured(self, tower: Tower) -> Measured:
        """What a variant gives, measured unless that was done before."""
        file = self.kept(tower)
        if file.exists():
            return Measured.from_json(file.read_text())
        try:
            made = self._measured(tower)
        except NightshiftError as error:
            made = Measured.refusal(str(error))
        write_atomically(file, made.to_json())
        return made

    def _measured(self, settings: Tower) -> Measured:
        training = self.settings.training.model_copy(update={"tower": settings})
        curve: dict[int, float] = {}
        told = [0.0, 0.0]  # when tuning told its first and its newest figure

        def report(name: str, step: int, value: float) -> None:
            if name == "tower_validation" and np.isfinite(value):  # else it diverged: those weights are not kept
                curve[step] = value
            told[:] = [told[0] or clock(), clock()]

        seed_everything(training.seed)
        tower, texts = fit_tower(self.data, self.warm, self.first_window, training, report, self.beginnings)
        with timed("Recommending by text alone"):
            of_users, of_new = self._recommended(texts)
        return Measured(of_users, of_new, curve, told[1] - told[0], self._encoding(tower, settings))

    def _recommended(self, texts: TextVectors) -> tuple[Doubles, Doubles]:
        """NDCG@10 of each judged user, of all items; and of lists of what is new to the user, by what was."""
        _, _, excluded = self.judging.judged
        known, parts, yardstick = self.judging.measure
        catalogue = self.data.catalogue
        takes_part = self.warm.is_warm & catalogue.available
        alone = TextAlone.of("text", texts.tuned(list(catalogue.texts)), takes_part)
        had = Relevant.from_histories(known.past)
        only_new = alone.lists(known, Excluded(had.indptr, had.items))
        everything = measured(alone.lists(known, excluded), known, parts, yardstick)
        return everything[ALL, GATE], measured(only_new, known, parts, yardstick)[NEW, GATE]

    def _encoding(self, tower: ItemTower, settings: Tower) -> float:
        """Seconds for some texts."""
        sample = np.random.default_rng(0).permutation(self.warm.texts)[:SAMPLE].tolist()
        ready = for_inference(tower, settings)
        seconds = []
        for _ in range(TIMES):
            begun = clock()
            ready.encode(sample, settings.text_batch)
            seconds.append(clock() - begun)
        log.info("%d texts encoded in %.2f s", len(sample), min(seconds))
        return min(seconds)
