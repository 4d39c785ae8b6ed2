"""What a user costs beside the matches: every part of a night's work on a seeded shop, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from contracts.settings import Settings, Training
from models import ranker
from models.behaviours import Behaviours, Known
from models.catalogue import ATTRIBUTES, Catalogue
from models.cooccurrence import cooccurrences, neighbours_of
from models.devices import torch_threads
from models.excluded import Excluded
from models.features.rows import feature_names
from models.histories import DAY, Histories, Ints, Longs
from models.item_state import DailyCounts, ItemState, item_state, unit_rows
from models.published import TypedHabits
from models.recommend import Rules, by_text, features_of, generated, recommend
from models.user_encoder import UserEncoder, encode_users
from spark_jobs.scoring.worker import as_rows

Clock = Callable[[], float]
ROUNDS = 3
"""Everyone has so many turns, one after the other, and the best counts: the machine is not always as fast."""
ITEMS, USERS, TYPES = 92_331, 512, 2_000
NOW = 20_000 * DAY


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a user, by part."""

    events: int  # of a user
    candidates: float  # of a user
    milliseconds: dict[str, float]

    @property
    def users_per_second(self) -> float:
        """By one core, with all parts."""
        return 1000 / self.milliseconds[ALL]


ENCODER, CANDIDATES, FEATURES, RANKER = "user encoder", "all candidates", "features", "ranker"
MATCHES, NEAREST = "matches", "nearest texts"
ALL = "all, with rows of Arrow"
"""Parts: `CANDIDATES` holds the encoder and the other three before it, `ALL` everything."""


def cost(settings: Settings, events: int, items: int | None = None, clock: Clock = time.perf_counter) -> Cost:
    """What users of so many ``events`` cost, by the settings; the networks are not trained, which costs the same.

    Args:
        settings: Sizes of the networks and of the lists.
        events: Of each user.
        items: Of the catalogue; `ITEMS` where it is not said.
        clock: Of `parts`.
    """
    items = items or ITEMS
    training = settings.training
    random = np.random.default_rng(events)
    known = _known(random, settings, events, items)
    state = _state(random, known, training, items)
    torch.manual_seed(0)
    behaviours = known.behaviours
    encoder = UserEncoder(8, 1, len(behaviours.names), training.encoder, behaviours.scale).eval()
    names = feature_names(training.features, behaviours)
    rows = random.normal(size=(1_000, len(names))).astype(np.float32)
    window = ranker.Window(rows, rows[:, 0] > 1, np.ones(1_000, np.float32), np.arange(0, 1_001, 50, dtype=np.int64))
    ranks = ranker.fit([window], names, training.ranker.model_copy(update={"epochs": 1, "min_steps": 1}), seed=0)

    ids, users = (pa.array(np.arange(count).astype(str)) for count in (items, USERS))
    found, timed = parts(
        known, state, encoder, ranks, Rules(settings.scoring.n), training, Excluded.nothing(USERS), users, ids, clock
    )
    return Cost(events, found / USERS, timed)


def parts(
    known: Known,
    state: ItemState,
    encoder: UserEncoder,
    ranks: ranker.Ranker,
    rules: Rules,
    training: Training,
    excluded: Excluded,
    users: pa.Array,
    items: pa.Array,
    clock: Clock = time.perf_counter,
) -> tuple[int, dict[str, float]]:
    """Candidates of some users, and the milliseconds that one user takes on one core, by part.

    The arguments are those of `models.recommend.recommend`; ``users`` and ``items`` are their ids. The ``clock`` gives
    seconds: by `time.process_time` what else the machine does counts less.
    """
    vectors = torch.from_numpy(state.vectors)
    with torch_threads(1):
        made = generated(known, state, encoder, training, excluded)
        features = features_of(made, made.candidates, known, state, training.features)
        timed: dict[str, Callable[[], object]] = {
            ENCODER: partial(encode_users, encoder, vectors, known.past, training.encoder.length, 64),
            MATCHES: partial(state.matching.best, made.users, training.candidates.match),
            NEAREST: partial(by_text, known, state, training, excluded, None),
            "what goes with it": partial(cooccurrences, known, state.neighbours, training.cooccurrence),
            CANDIDATES: partial(generated, known, state, encoder, training, excluded),
            FEATURES: partial(features_of, made, made.candidates, known, state, training.features),
            RANKER: partial(ranks.score, features),
            ALL: lambda: as_rows(users, recommend(known, state, encoder, ranks, rules, training, excluded), items),
        }
        took = {name: _seconds(part, clock) / len(known.past) * 1000 for name, part in timed.items()}
    return len(made.candidates.items), took


def _seconds(part: Callable[[], object], clock: Clock) -> float:
    """The best of some rounds."""
    took = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        begun = clock()
        part()
        took.append(clock() - begun)
    return min(took[1:])


def _known(random: np.random.Generator, settings: Settings, events: int, items: int) -> Known:
    """Users who take popular items and their own again, four at a time, over a year."""
    ingest = settings.ingest
    behaviours = Behaviours.of(ingest.behaviours, ingest.targets)
    chance = 1 / np.arange(1, items + 1) ** 0.8
    own = random.choice(items, (USERS, max(events // 3, 1)), p=chance / chance.sum())
    user = np.repeat(np.arange(USERS), events)
    item = own[user, random.integers(0, own.shape[1], len(user))].astype(np.int32)
    basket = NOW - np.sort(random.integers(1, 365, (USERS, -(-events // 4))), axis=1)[:, ::-1] * DAY
    times: Longs = np.repeat(basket, 4, axis=1)[:, :events].ravel()
    kind = np.full(len(user), behaviours.targets[0], dtype=np.int32)
    past = Histories.from_events(USERS, user, item, kind, times)
    return Known.of(past, behaviours.seen_in(past), NOW)


def _state(random: np.random.Generator, known: Known, training: Training, items: int) -> ItemState:
    """The items as of the users' moment, with vectors and attributes at random."""
    codes: Ints = np.stack([random.integers(0, size, items) for size in (30, 300, TYPES, 3_000)]).astype(np.int32)
    names = tuple(tuple(map(str, range(int(each.max()) + 1))) for each in codes)
    assert len(names) == len(ATTRIBUTES)
    ids = pd.Index(np.arange(items).astype(str).astype(object))
    catalogue = Catalogue(ids, np.full(items, "", dtype=object), codes, names, np.ones(items, dtype=np.bool_))
    sizes = training.encoder.vector_size, training.features.text_size
    vectors, texts = (random.standard_normal((items, size), dtype=np.float32) for size in sizes)
    return item_state(
        catalogue,
        vectors,
        unit_rows(texts),
        DailyCounts.of(known),
        neighbours_of(known, items, training.cooccurrence),
        TypedHabits.of(known.targets, NOW, catalogue, training.features.prior).of_items,
        np.ones(items, dtype=np.bool_),
        catalogue.available,
        NOW,
    )
