"""A model of the tiny shop of `tests.factories`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contracts import settings
from models.features.rows import feature_names
from models.ranker import Ranker, Window, fit
from models.user_encoder import UserEncoder
from tests.factories import PURCHASES, SHOP_ITEMS, TINY


@pytest.fixture(scope="session")
def encoder() -> UserEncoder:
    """An untrained encoder, the same in every run."""
    torch.manual_seed(0)
    return UserEncoder(4, SHOP_ITEMS, 1, TINY.encoder).eval()


@pytest.fixture(scope="session")
def ranker() -> Ranker:
    """A ranker fitted on noise: only that it always ranks the same way matters."""
    names = feature_names(TINY.features, PURCHASES)
    random = np.random.default_rng(2)
    features = random.normal(size=(200, len(names))).astype(np.float32)
    labels = features[:, 0] > 0.5
    window = Window(features, labels, np.ones(200, np.float32), np.arange(0, 201, 20, dtype=np.int64))
    return fit([window], names, settings.Ranker(networks=1, hidden=8, epochs=2), seed=0)
