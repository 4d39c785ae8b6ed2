"""Fits a model on arrays: item tower, user encoder and ranker, and what is known of single items.

The tower and the encoder are trained on what is older than the ranker's windows, so that their scores inside those
windows are as honest as on new data; the ranker is fitted on the weekly windows up to the end of the validation window.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from contracts.cli import timed
from contracts.errors import InputError
from contracts.settings import Training
from models import candidates, ranker
from models.catalogue import PRODUCT_TYPE, Catalogue
from models.cooccurrence import neighbours_of
from models.devices import seed_everything
from models.encoder_training import Judge, trained_encoder
from models.features.rows import feature_names
from models.histories import DAY, Flags, Floats, Histories, Ints, Longs
from models.item_state import DailyCounts, habits_of, item_state
from models.item_tower import ItemTower
from models.metrics import Relevant
from models.published import ItemKnowledge, TypedHabits
from models.recommend import features_of, generated
from models.text_vectors import TextVectors
from models.tower_tuning import pairs_of_texts, tuned_tower
from models.training import Report
from models.user_encoder import NO_ID, UserEncoder

log = logging.getLogger("nightshift")

WINDOW = 7 * DAY
"""Length of the ranker's windows, seconds."""
WEIGHED_ROWS = 100_000
"""Candidates on which the weight of the ranker's features is measured."""


@dataclass(frozen=True)
class TrainingData:
    """What a model is fitted on; items are numbered by the catalogue."""

    catalogue: Catalogue
    user_ids: Sequence[str]  # of the histories
    histories: Histories  # all events of catalogue items before the test window
    judge: Judge  # the validation window
    behaviours: Sequence[str]
    targets: Sequence[int]  # numbers of the target behaviours
    validation_start: int  # seconds
    test_start: int  # seconds: nothing at or after it is known


@dataclass(frozen=True)
class Fitted:
    """A fitted model."""

    tower: ItemTower
    texts: TextVectors
    encoder: UserEncoder
    ranker: ranker.Ranker
    items: ItemKnowledge
    importance: dict[str, float]  # how far each feature moves the ranker's score
    seconds: dict[str, float]  # how long each part took


@dataclass(frozen=True)
class WarmItems:
    """Items with enough events for an id embedding, and their texts."""

    items: Longs  # [warm], ascending
    is_warm: Flags  # [items of the catalogue]
    id_rows: Ints  # [items of the catalogue], 1 and up for the warm ones
    texts: list[str]  # the distinct ones
    text_of: Ints  # [items of the catalogue], index into the texts; 0 for an item that is not warm

    @classmethod
    def of(cls, histories: Histories, catalogue: Catalogue, at_least: int) -> WarmItems:
        """The items with ``at_least`` events."""
        warm = np.flatnonzero(np.bincount(histories.items, minlength=len(catalogue)) >= at_least)
        texts, text_of_warm = np.unique(catalogue.texts[warm].astype(str), return_inverse=True)
        is_warm = np.zeros(len(catalogue), dtype=np.bool_)
        is_warm[warm] = True
        id_rows = np.full(len(catalogue), NO_ID, dtype=np.int32)
        id_rows[warm] = np.arange(1, len(warm) + 1)
        text_of = np.zeros(len(catalogue), dtype=np.int32)
        text_of[warm] = text_of_warm
        return cls(warm, is_warm, id_rows, list(texts), text_of)

    def only(self, histories: Histories) -> Histories:
        """The events of warm items."""
        return histories.select(self.is_warm[histories.items])


def fit(data: TrainingData, settings: Training, report: Report) -> Fitted:
    """Fits everything. The same data, settings and machine give the same model.

    Raises:
        InputError: there is too little to learn from.
        ModelError: training diverged.
    """
    seed_everything(settings.seed)
    wanted = settings.ranker.windows
    windows = windows_that_fit(data.histories.times, data.test_start, wanted)
    if windows < wanted:
        log.warning("The history is short: the ranker is fitted on %d weekly windows, not %d.", windows, wanted)
        settings = settings.model_copy(update={"ranker": settings.ranker.model_copy(update={"windows": windows})})
    first_window = data.test_start - windows * WINDOW
    older = data.histories.between(0, first_window)
    warm = WarmItems.of(older, data.catalogue, settings.encoder.min_item_events)
    log.info("%d users, %s events, %s warm items", len(older), f"{len(older.items):,}", f"{len(warm.items):,}")
    if not len(warm.items):
        raise InputError(
            f"There is too little to learn from: of the items in {len(older.items):,} events before the last "
            f"{windows + 1} weeks, none has {settings.encoder.min_item_events} events or more. Ingest more days, or "
            "lower training.encoder.min_item_events."
        )
    seconds: dict[str, float] = {}
    with timed("Item tower", seconds):
        tower, texts = fit_tower(data, warm, older, first_window, settings, report)
    of_warm = texts.after[warm.text_of[warm.items]]
    with timed("User encoder", seconds):
        encoder = trained_encoder(
            settings,
            of_warm,
            warm.items,
            len(data.catalogue),
            len(data.behaviours),
            older,
            data.targets,
            data.judge,
            report,
        )
    vectors = np.zeros((len(data.catalogue), settings.encoder.vector_size), dtype=np.float32)
    with torch.inference_mode():
        id_rows = torch.from_numpy(warm.id_rows[warm.items]).long()
        vectors[warm.items] = encoder.eval().item_vectors(torch.from_numpy(of_warm), id_rows).numpy()
    with timed("Ranker", seconds):
        fitted, importance = fit_ranker(data, vectors, encoder, settings)
    targets = data.histories.select(data.histories.are_of(data.targets))
    items = ItemKnowledge(
        list(data.catalogue.item_ids),
        warm.id_rows,
        neighbours_of(targets, data.test_start, len(data.catalogue), settings.cooccurrence),
        TypedHabits.of(targets, data.test_start, data.catalogue, settings.features.prior),
    )
    return Fitted(tower, texts, encoder, fitted, items, importance, seconds)


def windows_that_fit(times: Longs, test_start: int, wanted: int) -> int:
    """So many weekly windows that at least half of the events are older than all of them, of ``wanted`` at most.

    Args:
        times: Of the events before ``test_start``, seconds, in any order.
        test_start: Where the last window ends, seconds.
        wanted: Windows of a history that is long enough.
    """
    older = (np.count_nonzero(times < test_start - count * WINDOW) for count in range(wanted, 1, -1))
    enough = (count for count, events in zip(range(wanted, 1, -1), older, strict=True) if 2 * events >= len(times))
    return next(enough, 1)


def fit_tower(
    data: TrainingData, warm: WarmItems, older: Histories, first_window: int, settings: Training, report: Report
) -> tuple[ItemTower, TextVectors]:
    """The tower, tuned on co-occurring texts of what is older, judged by those of the validation window."""
    own = settings.tower
    inside = data.histories.between(data.validation_start, data.test_start)
    counted = settings.cooccurrence.model_copy(update={"neighbours": own.pair_neighbours})
    pairs = pairs_of_texts(warm.only(older), warm.text_of, first_window, own.training_pairs, counted, settings.seed)
    held_out = pairs_of_texts(
        warm.only(inside), warm.text_of, data.test_start, own.held_out_pairs, counted, settings.seed
    )
    tower, before, after = tuned_tower(settings, warm.texts, pairs, held_out, report)
    return tower, TextVectors.of(warm.texts, before, after)


def fit_ranker(
    data: TrainingData, vectors: Floats, encoder: UserEncoder, settings: Training
) -> tuple[ranker.Ranker, dict[str, float]]:
    """The ranker, fitted on the weekly windows before the test window, and the weight of its features."""
    count = settings.ranker.windows
    with timed(f"Features of {count} weekly windows"), ThreadPoolExecutor(2) as aside:
        # NumPy works on one core: two windows at once, and no more, for their memory
        ago = range(count, 0, -1)
        windows = list(aside.map(lambda weeks: ranker_window(data, vectors, encoder, settings, weeks), ago))
    with timed("Fitting the ranker"):
        fitted = ranker.fit(windows, feature_names(settings.features), settings.ranker, settings.seed)
        return fitted, fitted.importance(windows[-1].features[:WEIGHED_ROWS])


def ranker_window(
    data: TrainingData, vectors: Floats, encoder: UserEncoder, settings: Training, weeks: int
) -> ranker.Window:
    """Candidates as of so many ``weeks`` before the test window, labelled by the week that followed."""
    now = data.test_start - weeks * WINDOW
    past, future = data.histories.between(0, now), data.histories.between(now, now + WINDOW)
    relevant = Relevant.from_histories(future.select(future.are_of(data.targets)))
    users = np.flatnonzero((relevant.counts > 0) & (past.lengths > 0))
    targets = past.select(past.are_of(data.targets))
    state = item_state(
        data.catalogue,
        vectors,
        DailyCounts.from_histories(targets),
        neighbours_of(targets, now, len(data.catalogue), settings.cooccurrence),
        habits_of(targets, now, data.catalogue.codes[PRODUCT_TYPE], settings.features.prior),
        now,
    )
    past, targets = past.take(users), targets.take(users)
    made = generated(past, targets, state, encoder, settings, now)
    labels = candidates.label(made.candidates, relevant.take(users), len(data.catalogue))
    sampled, labels = candidates.sample(made.candidates, labels, settings.ranker.negatives, settings.seed + weeks)
    rows = features_of(made, sampled, targets, state, encoder, settings.features, now)
    return ranker.Window(rows, labels, sampled.indptr)
