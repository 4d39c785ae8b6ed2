"""Who takes part: the model and its parts by production code, and baselines. Each gives lists for the judged users."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from contracts.cli import log
from contracts.errors import NightshiftError
from contracts.settings import Settings, Training
from models.baselines.base import Baseline
from models.behaviours import Known
from models.evaluation import N
from models.fit import Fitted, TrainingData, fit, fit_encoder
from models.histories import Floats, Ints
from models.in_memory import InMemory
from models.kernel import ItemIndex
from models.recommend import Rules
from models.training import Report
from models.user_encoder import UserEncoder, encode_users, vectors_of_items
from models.warm_start import Beginning
from nightshift.bench_model.protocols import Case

MODEL, NO_RANKER, ID_ONLY = "our model", "· no ranker", "· id only"
FROZEN, TEXT_ONLY, NO_TEXT = "· frozen text", "· text only", "· no language model"
NO_PAIR, WARM_START = "· no pair model", "· warm start"
PARTS = (NO_RANKER, NO_PAIR, FROZEN, TEXT_ONLY, NO_TEXT, ID_ONLY, WARM_START)
"""Variants of the model, as the table names them."""


@dataclass(frozen=True)
class Entry:
    """One recommender's lists for the judged users, and what they took."""

    name: str
    lists: Ints  # [users, N]
    fit_seconds: float
    score_seconds: float


@dataclass
class WeekBefore:
    """The model of the week before, from which that of the next week goes on."""

    model: Beginning | None = None

    def next(self, data: TrainingData, training: Training, report: Report) -> Fitted:
        """Fits the model of the next week; from scratch where there is none to go on from, or it does not fit."""
        beginning = self.model
        if beginning is None:
            log.info("%s: the first week is from scratch", WARM_START)
        elif why := beginning.misfit(training, data.behaviours.seen_in(data.histories), data.first_window(training)):
            log.info("%s: this week is from scratch, %s", WARM_START, why)
            beginning = None
        fitted = fit(data, training, report, beginning)
        self.model = fitted.to_go_on_from(data.catalogue, training, beginning)
        return fitted


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


def for_sequences(settings: Settings) -> Settings:
    """The settings for files without times: users have few events, all of which count."""
    return settings.model_copy(update={"training": settings.training.having(OF_SEQUENCES)})


def entries(
    case: Case,
    training: Training,
    baselines: Sequence[Baseline],
    parts: Collection[str],
    week_before: WeekBefore | None,
    *,
    with_model: bool,
) -> Iterator[Entry | Absent]:
    """Everyone's lists, one after the other; of who cannot take part, the reason.

    Args:
        case: One of several weeks, oldest first, or the only split.
        training: Settings.
        baselines: Those that take part.
        parts: Names of the model's parts that do.
        week_before: Kept from week to week; None for the only split.
        with_model: Whether the model does.
    """
    for baseline in baselines:
        yield from told(baseline.name, _baseline(case, baseline))
    if with_model:
        matches_as, ranked_as = (name if name in parts else None for name in (NO_RANKER, NO_PAIR))
        yield from told(MODEL, variant(case.data, case, training, MODEL, matches_as, ranked_as))
    frozen = training.having({"tower.tuning": "frozen"})
    if FROZEN in parts:
        yield from told(FROZEN, variant(case.data, case, frozen, FROZEN))
    if TEXT_ONLY in parts:
        # an id that is always left out of training stays at zero
        text_only = training.having({"encoder.id_dropout": 1.0})
        yield from told(TEXT_ONLY, variant(case.data, case, text_only, TEXT_ONLY))
    if {NO_TEXT, ID_ONLY} & set(parts):
        silent = replace(case.catalogue, texts=np.full(len(case.catalogue), "", dtype=object))
        data = replace(case.data, catalogue=silent)
        made = variant(data, case, frozen, NO_TEXT, ID_ONLY if ID_ONLY in parts else None)
        yield from told(NO_TEXT, made)
    if WARM_START in parts and week_before:
        yield from told(WARM_START, variant(case.data, case, training, WARM_START, fitted_by=week_before.next))
    elif WARM_START in parts:
        yield Absent(WARM_START, "it goes on from the week before, and there is one split: give --weeks 2 or more.")


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
    ranked_as: str | None = None,
    fitted_by: Callable[[TrainingData, Training, Report], Fitted] = fit,
    report: Report = lambda *_: None,
) -> Iterator[Entry]:
    """A fitted model's lists; under other names those of its encoder alone, and without a pair model."""
    users, _, excluded = case.judged
    begun = time.monotonic()
    fitted = fitted_by(data, training, report)
    took = time.monotonic() - begun
    known = Known.of(data.histories, fitted.behaviours, case.now)
    model = InMemory.of(fitted, data.catalogue, known, training)
    begun = time.monotonic()
    judged = known.take(users)
    lists = model.lists(judged, Rules(N), excluded)
    yield Entry(name, lists, took, time.monotonic() - begun)
    if ranked_as and training.pair_model.use != "none":
        begun = time.monotonic()
        lists = replace(model, reordering=None).lists(judged, Rules(N), excluded)
        yield Entry(ranked_as, lists, took, time.monotonic() - begun)
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
    lists = ItemIndex.of(vectors, case.catalogue.available).best(of_users, N, excluded)
    return Entry(name, lists, took, time.monotonic() - begun)
