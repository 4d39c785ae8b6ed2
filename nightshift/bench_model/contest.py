"""Who takes part: the model and its parts by production code, and baselines. Each gives lists for the judged users."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts.cli import log
from contracts.errors import NightshiftError
from contracts.settings import Training
from models.baselines.base import Baseline
from models.behaviours import Known
from models.evaluation import N
from models.fit import TrainingData, fit, fit_encoder
from models.histories import Floats, Ints
from models.in_memory import InMemory
from models.matches import allowed_matches
from models.recommend import Rules
from models.training import Report
from models.user_encoder import UserEncoder, encode_users, vectors_of_items
from nightshift.bench_model.protocols import Case

MODEL, NO_RANKER, ID_ONLY = "our model", "· no ranker", "· id only"
FROZEN, TEXT_ONLY, NO_TEXT = "· frozen text", "· text only", "· no language model"
PARTS = (NO_RANKER, FROZEN, TEXT_ONLY, NO_TEXT, ID_ONLY)
"""Variants of the model, as the table names them."""


@dataclass(frozen=True)
class Entry:
    """One recommender's lists for the judged users, and what they took."""

    name: str
    lists: Ints  # [users, N]
    fit_seconds: float
    score_seconds: float


@dataclass(frozen=True)
class Absent:
    """Who takes no part, and why."""

    name: str
    why: str


OF_SEQUENCES: Mapping[str, object] = {
    "encoder.min_item_events": 1,
    "encoder.length": 50,
    "encoder.epochs": 30,
    "encoder.batch": 1000,
    "ranker.windows": 1,
    # no days that passed tell how old an item of the user is: the items after it do
    "cooccurrence.recent_step_decay": 0.7,
}
"""The settings of training for files without times: users have few events, all of which count."""


def entries(
    case: Case, training: Training, baselines: Sequence[Baseline], parts: Collection[str], *, with_model: bool
) -> Iterator[Entry | Absent]:
    """Everyone's lists, one after the other; of who cannot take part, the reason."""
    for baseline in baselines:
        yield from told(baseline.name, _baseline(case, baseline))
    if with_model:
        yield from told(MODEL, variant(case.data, case, training, MODEL, NO_RANKER if NO_RANKER in parts else None))
    if FROZEN in parts:
        frozen = training.model_copy(update={"tower": training.tower.model_copy(update={"tuning": "frozen"})})
        yield from told(FROZEN, variant(case.data, case, frozen, FROZEN))
    if TEXT_ONLY in parts:
        # an id that is always left out of training stays at zero
        encoder = training.encoder.model_copy(update={"id_dropout": 1.0})
        text_only = training.model_copy(update={"encoder": encoder})
        yield from told(TEXT_ONLY, variant(case.data, case, text_only, TEXT_ONLY))
    if {NO_TEXT, ID_ONLY} & set(parts):
        silent = replace(case.catalogue, texts=np.full(len(case.catalogue), "", dtype=object))
        data = replace(case.data, catalogue=silent)
        frozen = training.model_copy(update={"tower": training.tower.model_copy(update={"tuning": "frozen"})})
        made = variant(data, case, frozen, NO_TEXT, ID_ONLY if ID_ONLY in parts else None)
        yield from told(NO_TEXT, made)


def told(name: str, made: Iterator[Entry]) -> Iterator[Entry | Absent]:
    """The same, said in the log as they come; where they fail, who takes no part."""
    log.info("%s …", name)
    try:
        for entry in made:
            log.info("%s: fitted in %.0f s, scored in %.1f s", entry.name, entry.fit_seconds, entry.score_seconds)
            yield entry
    except (NightshiftError, MemoryError) as error:
        log.warning("%s takes no part: %s", name, error)
        yield Absent(name, str(error) or type(error).__name__)


def _baseline(case: Case, baseline: Baseline) -> Iterator[Entry]:
    users, _, excluded = case.judged
    # a baseline shows what can be sold, like the model
    known = case.everyone.only(case.catalogue.available)
    begun = time.monotonic()
    baseline.fit(known, len(case.catalogue))
    fitted = time.monotonic()
    lists = baseline.recommend(known.take(users), N, excluded)
    yield Entry(baseline.name.removeprefix("baseline/"), lists, fitted - begun, time.monotonic() - fitted)


def variant(
    data: TrainingData,
    case: Case,
    training: Training,
    name: str,
    matches_as: str | None = None,
    report: Report = lambda *_: None,
) -> Iterator[Entry]:
    """A fitted model's lists, and those of its encoder alone under another name."""
    users, _, excluded = case.judged
    begun = time.monotonic()
    fitted = fit(data, training, report)
    took = time.monotonic() - begun
    known = Known.of(data.histories, fitted.behaviours, case.now)
    model = InMemory.of(fitted, data.catalogue, known, training)
    begun = time.monotonic()
    judged = known.take(users)
    lists = model.lists(judged, Rules(N), excluded)
    yield Entry(name, lists, took, time.monotonic() - begun)
    if matches_as:
        yield _matches(case, known, fitted.encoder, model.state.vectors, training.encoder.length, matches_as, took)


def encoder_alone(case: Case, training: Training, report: Report) -> Entry:
    """The matches of a user encoder for which no ranker is fitted."""
    begun = time.monotonic()
    made = fit_encoder(case.data, training, report)
    encoder, items = made.with_newest()
    took = time.monotonic() - begun
    known = Known.of(case.data.histories, made.data.behaviours, case.now)
    vectors = vectors_of_items(encoder, made.of_items, items.id_rows)
    return _matches(case, known, encoder, vectors, training.encoder.length, NO_RANKER, took)


def _matches(
    case: Case, known: Known, encoder: UserEncoder, vectors: Floats, length: int, name: str, took: float
) -> Entry:
    users, _, excluded = case.judged
    begun = time.monotonic()
    of_users = encode_users(encoder, torch.from_numpy(vectors), known.take(users).past, length, batch=256)
    lists = allowed_matches(of_users, vectors, case.catalogue.available, N, excluded)
    return Entry(name, lists, took, time.monotonic() - begun)
