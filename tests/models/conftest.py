"""A shop so small that one sees what must come out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.cooccurrence import Neighbours, PairSettings, neighbours
from models.features import FEATURES, DailyCounts, ItemStats, habits, popularity
from models.histories import DAY, Histories
from models.ranker import Ranker, RankerSettings, Window, fit
from models.scoring import Shelf, shelf_order
from models.user_encoder import UserEncoder
from spark_jobs.contracts.settings import Training

NOW = 100 * DAY
ITEMS = 12
TINY = Training(vector_size=8, encoder_length=6, encoder_layers=1, encoder_heads=2, encoder_epochs=2)


def shop_histories(users: int = 40, seed: int = 0) -> Histories:
    """Users that buy a few favourites again and again; the last user has no history."""
    random = np.random.default_rng(seed)
    events = users * 15
    user = random.integers(0, users - 1, events).astype(np.int32)
    item = ((user % 4) * 3 + random.integers(0, 3, events)).astype(np.int32)
    time = NOW - random.integers(1, 90, events) * DAY
    return Histories.from_events(users, user, item, np.zeros(events, np.int32), time.astype(np.int64))


def shelf(histories: Histories, near: Neighbours | None = None) -> Shelf:
    """The shop's items: random vectors, two categories, all allowed."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(ITEMS, TINY.vector_size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = np.stack([np.arange(ITEMS) % 2] * 4).astype(np.int32)
    popular = popularity(DailyCounts.from_histories(histories), NOW, ITEMS)
    allowed = np.ones(ITEMS, dtype=np.bool_)
    pairs = near or neighbours(histories, NOW, ITEMS, PairSettings(neighbours=3))
    return Shelf(
        vectors,
        allowed,
        codes[1],
        pairs,
        ItemStats(codes, popular, habits(histories, NOW, codes)),
        shelf_order(popular, allowed),
    )


@pytest.fixture(scope="session")
def encoder() -> UserEncoder:
    """An untrained encoder, the same in every run."""
    torch.manual_seed(0)
    return UserEncoder(4, ITEMS, 1, TINY).eval()


@pytest.fixture(scope="session")
def ranker() -> Ranker:
    """A ranker fitted on noise: only that it always ranks the same way matters."""
    random = np.random.default_rng(2)
    features = random.normal(size=(200, len(FEATURES))).astype(np.float32)
    labels = features[:, 0] > 0.5
    window = Window(features, labels, np.arange(0, 201, 20, dtype=np.int64))
    return fit([window], RankerSettings(networks=1, hidden=8, epochs=2))
