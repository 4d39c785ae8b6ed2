"""Fits a model on arrays: item tower, user encoder and ranker, and what is known of single items.

The tower and the encoder are trained on what is older than the ranker's windows, so that their scores inside those
windows are as honest as on new data; the ranker is fitted on the weekly windows up to the end of the validation window.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from contracts.cli import timed
from contracts.errors import InputError
from contracts.settings import Training
from models import candidates, ranker
from models.behaviours import Behaviours, Known
from models.catalogue import PRODUCT_TYPE, Catalogue
from models.cooccurrence import neighbours_of
from models.devices import seed_everything
from models.encoder_training import EncoderTraining, Judge
from models.excluded import Excluded
from models.features.rows import feature_names
from models.histories import DAY, Flags, Floats, Histories, Ints, Longs
from models.item_state import DailyCounts, habits_of, item_state
from models.item_tower import ItemTower
from models.metrics import Relevant
from models.moment import Moment
from models.newest import BeforeNewest
from models.pair_model.fit import FittedPair, fit_pair
from models.published import ItemKnowledge
from models.recommend import features_of, generated
from models.text_space import TextSpace
from models.text_vectors import TextVectors
from models.tower_tuning import TextPairs, Untune, Untuned, held_out_texts, pairs_of_texts, tuned_tower
from models.training import Report
from models.user_encoder import NO_ID, UserEncoder, vectors_of_items
from models.warm import WarmItems, events_of_warm
from models.warm_start import Beginning

log = logging.getLogger("nightshift")

WEIGHED_ROWS = 100_000
"""Candidates on which the weight of the ranker's features is measured."""
BY_LIFT = {"popularity_power": 0.5, "prior": 5.0, "min_weight": 1.0}
"""How pairs of texts are counted: two items that everyone has say nothing of each other (`docs/traps.md`)."""


@dataclass(frozen=True)
class TrainingData:
    """What a model is fitted on; items are numbered by the catalogue."""

    catalogue: Catalogue
    user_ids: Sequence[str]  # of the histories
    histories: Histories  # all events of catalogue items before the test window
    judge: Judge  # the validation window
    behaviours: Behaviours
    validation_start: int  # seconds
    test_start: int  # seconds: nothing at or after it is known
    exclude_seen_days: Mapping[int, int] = field(default_factory=dict)  # of behaviours by number, as the night does

    @property
    def horizon(self) -> int:
        """How far ahead the model predicts, seconds: the length of every window."""
        return self.test_start - self.validation_start

    def windows(self, settings: Training) -> int:
        """How many windows the ranker is fitted on: those of the settings, fewer where the history is short."""
        target_times = self.histories.times[self.behaviours.are_targets(self.histories)]
        return windows_that_fit(target_times, self.test_start, self.horizon, settings.ranker.windows)

    def first_window(self, settings: Training) -> int:
        """Where they begin, seconds: tower and encoder learn nothing at or after it."""
        return self.test_start - self.windows(settings) * self.horizon

    def known(self, now: int) -> Known:
        """What is known of everyone before ``now`` (seconds)."""
        return Known.of(self.histories, self.behaviours, now)

    def excluded(self, now: int) -> Excluded:
        """What everyone must not get as of ``now`` (seconds)."""
        return Excluded.seen(self.histories.before(now), self.exclude_seen_days, now)


@dataclass(frozen=True)
class Fitted:
    """A fitted model."""

    tower: ItemTower
    texts: TextVectors
    space: TextSpace
    encoder: UserEncoder
    before: BeforeNewest
    ranker: ranker.Ranker
    pair: FittedPair | None  # where the settings want one, and there is enough to learn from
    items: ItemKnowledge
    importance: dict[str, float]  # how far each feature moves the ranker's score
    behaviours: Behaviours
    seconds: dict[str, float]  # how long each part took

    def to_go_on_from(self, catalogue: Catalogue, settings: Training, beginning: Beginning | None) -> Beginning:
        """What the next training goes on from; it was itself fitted on ``catalogue`` with the other two."""
        in_a_row = beginning.in_a_row + 1 if beginning else 0
        item_ids = list(catalogue.item_ids)
        name = "the model before"
        return Beginning(name, settings, self.behaviours, in_a_row, self.tower, self.texts, self.before, item_ids)


@dataclass(frozen=True)
class Encoded:
    """A model without its ranker: the tower and the encoder, trained on what is older than the ranker's windows."""

    data: TrainingData
    settings: Training  # with so many windows of the ranker as the history has
    tower: ItemTower
    texts: TextVectors
    of_items: Floats  # [items of the catalogue, size], the tower's vectors
    space: TextSpace
    warm: WarmItems
    encoder: UserEncoder
    before: BeforeNewest
    training: EncoderTraining
    seconds: dict[str, float]  # how long each part took

    def with_newest(self) -> tuple[UserEncoder, ItemKnowledge]:
        """The encoder that has learnt the newest events too, and what is known of the items by then."""
        data = self.data
        with timed("Newest events", self.seconds):
            return self.before.up_to(data.histories, data.known(data.test_start), data.catalogue, self.training)


def fit(data: TrainingData, settings: Training, report: Report, beginning: Beginning | None = None) -> Fitted:
    """Fits everything. The same data, settings, beginning and machine give the same model.

    Args:
        data: What is learnt.
        settings: How.
        report: Told of curves.
        beginning: An earlier model that fits (`Beginning.misfit`), to go on from; None: from scratch.

    Raises:
        InputError: there is too little to learn from.
        ModelError: training diverged.
    """
    made = fit_encoder(data, settings, report, beginning)
    data, settings, encoder = made.data, made.settings, made.encoder
    with timed("Ranker", made.seconds):
        vectors = vectors_of_items(encoder, made.of_items, made.warm.id_rows)
        said = made.space.of_texts(made.of_items)
        sold = Lifetimes.of(data)

        def moment(ago: int) -> Moment:
            return moment_of(data, vectors, said, made.warm.id_rows, sold, settings, ago)

        fitted, importance = fit_ranker(data, moment, encoder, settings)
    pair = None
    if settings.pair_model.use != "none":
        with timed("Pair model", made.seconds):
            windows = settings.ranker.windows
            moments = map(moment, range(windows, 0, -1))
            pair = fit_pair(moments, windows, data.catalogue, said, encoder, fitted, settings, report)
    encoder, items = made.with_newest()
    return Fitted(
        made.tower, made.texts, made.space, encoder, made.before, fitted, pair, items, importance, data.behaviours,
        made.seconds,
    )  # fmt: skip


def fit_encoder(data: TrainingData, settings: Training, report: Report, beginning: Beginning | None = None) -> Encoded:
    """Fits the tower and the user encoder, with as many passes as are best for the validation window.

    The arguments are those of `fit`.

    Raises:
        InputError: there is too little to learn from.
        ModelError: training diverged.
    """
    seed_everything(settings.seed)
    data = replace(data, behaviours=data.behaviours.seen_in(data.histories))
    windows, wanted = data.windows(settings), settings.ranker.windows
    if windows < wanted:
        log.warning("The history is short: the ranker is fitted on %d windows, not %d.", windows, wanted)
        settings = settings.having({"ranker.windows": windows})
    first_window = data.first_window(settings)
    older = data.histories.between(0, first_window)
    at_least = events_of_warm(older, settings.encoder.min_item_events)
    begin = beginning.before.on(beginning.item_ids, data.catalogue) if beginning else None
    warm = WarmItems.of(older, data.catalogue, at_least, begin.warm if begin else ())
    log.info("%d users, %s events, %s warm items", len(older), f"{len(older.items):,}", f"{len(warm.items):,}")
    if not data.behaviours.are_targets(older).any():
        names = ", ".join(data.behaviours.names[each] for each in data.behaviours.targets)
        raise InputError(
            f"There is too little to learn from: of {len(older.items):,} events of items of the catalogue before the "
            f"last {windows + 1} windows of {data.horizon // DAY} days, none is of a target behaviour ({names}). "
            "Ingest more days, set splits.window_days, or name another behaviour in ingest.targets."
        )
    seconds: dict[str, float] = {}
    with timed("Item tower", seconds):
        if beginning:
            tower, texts = beginning.tower, beginning.texts_of(data.catalogue.texts.astype(str).tolist())
        else:
            tower, texts = fit_tower(data, warm, first_window, settings, report)
    of_items = texts.tuned(list(data.catalogue.texts))
    space = TextSpace.of(of_items, settings.features.text_size)
    training = EncoderTraining(settings, of_items, data.behaviours, data.horizon, report)
    with timed("User encoder", seconds):
        judged = data.judge, data.excluded(data.validation_start)
        if begin:
            # the passes that were best for all events: it learns all of them again with the newest ones
            passes = begin.passes
            encoder = training.continued(begin.weights, begin.warm, begin.until, older, warm.items, *judged)
        else:
            encoder, passes = training.fitted(older, warm.items, *judged)
    before = BeforeNewest.of(encoder, warm, passes, at_least, first_window)
    return Encoded(data, settings, tower, texts, of_items, space, warm, encoder, before, training, seconds)


def windows_that_fit(times: Longs, test_start: int, horizon: int, wanted: int) -> int:
    """So many windows that at least half of the target events are older than all of them, of ``wanted`` at most.

    Args:
        times: Of the target events before ``test_start``, seconds, in any order.
        test_start: Where the last window ends, seconds.
        horizon: Length of a window, seconds.
        wanted: Windows of a history that is long enough.
    """
    older = (np.count_nonzero(times < test_start - count * horizon) for count in range(wanted, 1, -1))
    enough = (count for count, events in zip(range(wanted, 1, -1), older, strict=True) if 2 * events >= len(times))
    return next(enough, 1)


def fit_tower(
    data: TrainingData,
    warm: WarmItems,
    first_window: int,
    settings: Training,
    report: Report,
    untuned: Untune = Untuned.of,
) -> tuple[ItemTower, TextVectors]:
    """The tower, tuned on co-occurring texts of what is older, judged by texts that it did not learn from.

    What is told apart in it is what nobody took yet: so the texts that judge are of items that no pair of the tuning
    holds. Every text of the catalogue gets its vectors: in the ranker's windows an item that is new is met as at night.
    """
    own = settings.tower
    counted = settings.cooccurrence.model_copy(update={"neighbours": own.pair_neighbours, **BY_LIFT})
    judges = held_out_texts(len(warm.texts), own.held_out_share, settings.seed)

    def pairs(end: int, among: Flags, count: int) -> TextPairs:
        known = Known.of(warm.only(data.histories.before(end)), data.behaviours, end)
        return pairs_of_texts(known, warm.text_of, among, count, counted, settings.seed)

    training = pairs(first_window, ~judges, own.training_pairs)
    held_out = pairs(data.test_start, judges, own.held_out_pairs)
    others = sorted(set(data.catalogue.texts.astype(str)) - set(warm.texts))
    texts = [*warm.texts, *others]
    tower, before, after = tuned_tower(settings, texts, training, held_out, report, untuned)
    return tower, TextVectors.of(texts, before, after)


def fit_ranker(
    data: TrainingData, moment: Callable[[int], Moment], encoder: UserEncoder, settings: Training
) -> tuple[ranker.Ranker, dict[str, float]]:
    """The ranker, fitted on the windows before the test window, and the weight of its features.

    ``moment`` gives that of so many windows before the test window.
    """
    count = settings.ranker.windows
    with timed(f"Features of {count} windows"), ThreadPoolExecutor(2) as aside:
        # NumPy works on one core: two windows at once, and no more, for their memory
        made = aside.map(
            lambda ago: ranker_window(moment(ago), encoder, settings, settings.seed + ago), range(count, 0, -1)
        )
        windows = [window for window in made if window.labels.any()]
    if not windows:
        raise InputError(
            f"There is nothing to rank by: in the last {count} windows of {data.horizon // DAY} days before the test "
            "window, no user with a history took an item that the model could recommend. Ingest more days, or set "
            "splits.window_days."
        )
    with timed("Fitting the ranker"):
        names = feature_names(settings.features, data.behaviours)
        fitted = ranker.fit(windows, names, settings.ranker, settings.seed)
        return fitted, fitted.importance(windows[-1].features[:WEIGHED_ROWS])


@dataclass(frozen=True)
class Lifetimes:
    """When items were to be had, as far as events tell: the catalogue says it of today alone."""

    first: Longs  # [items], first event of each, seconds; 0 without one
    last: Longs  # [items], last event; 0 without one
    available: Flags  # [items], now

    @classmethod
    def of(cls, data: TrainingData) -> Lifetimes:
        """From the events before the test window."""
        items, times = data.histories.items, data.histories.times
        first = np.full(len(data.catalogue), np.iinfo(np.int64).max)
        last = np.zeros(len(data.catalogue), dtype=np.int64)
        np.minimum.at(first, items, times)
        np.maximum.at(last, items, times)
        return cls(np.where(last > 0, first, 0), last, data.catalogue.available)

    def at(self, now: int, horizon: int) -> Flags:
        """Which items can have been on sale in the window that begins at ``now``, [items].

        An item came before its first event; one that nobody ever took counts as always there. One that is not
        available any more was sold out with its last event.
        """
        return (self.first < now + horizon) & (self.available | (self.last >= now))


def moment_of(
    data: TrainingData, vectors: Floats, texts: Floats, id_rows: Ints, sold: Lifetimes, settings: Training, ago: int
) -> Moment:
    """What was known so many windows before the test window, and what came in the window that followed."""
    now = data.test_start - ago * data.horizon
    known, excluded, items = data.known(now), data.excluded(now), len(data.catalogue)
    future = data.histories.between(now, now + data.horizon)
    relevant = Relevant.from_histories(future.select(data.behaviours.are_targets(future)))
    state = item_state(
        data.catalogue,
        vectors,
        texts,
        DailyCounts.of(known),
        neighbours_of(known, items, settings.cooccurrence),
        habits_of(known.targets, now, data.catalogue.codes[PRODUCT_TYPE], settings.features.prior),
        id_rows != NO_ID,
        sold.at(now, data.horizon),
        now,
    )
    return Moment(known, excluded, excluded.out_of(relevant, items), state)


def ranker_window(moment: Moment, encoder: UserEncoder, settings: Training, seed: int) -> ranker.Window:
    """Candidates as of a moment, labelled by the window that followed."""
    users, state = moment.judged, moment.state
    known = moment.known.take(users)
    made = generated(known, state, encoder, settings, moment.excluded.take(users))
    labels = candidates.label(made.candidates, moment.relevant.take(users), len(state.allowed))
    own = settings.ranker
    most = own.rows // own.windows
    sampled = candidates.sample(made.candidates, labels, own.negatives, own.own_negatives, most, seed)
    rows = features_of(made, sampled.candidates, known, state, settings.features)
    return ranker.Window(rows, sampled.labels, sampled.shares, sampled.candidates.indptr)
