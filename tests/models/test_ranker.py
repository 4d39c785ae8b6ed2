"""A ranker that must learn a planted rule, repeat itself and come back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts import settings
from contracts.errors import ModelError
from contracts.settings import Features
from models import ranker
from models.features.rows import feature_names
from models.ranker import Window
from tests.factories import PURCHASES

FEATURES = feature_names(Features(), PURCHASES)
SMALL = settings.Ranker(networks=2, hidden=8, epochs=8, users_per_batch=16, learning_rate=1e-2)


def planted(seed: int) -> Window:
    """60 users with 20 candidates each; of four columns, the largest value in one is what they take."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 20, len(FEATURES))).astype(np.float32)
    features[:, :, 4:] = 0
    best = features[:, :, 3].argmax(axis=1)
    labels = np.arange(20) == best[:, None]
    return Window(
        features.reshape(1200, -1), labels.ravel(), np.ones(1200, np.float32), np.arange(61, dtype=np.int64) * 20
    )


@pytest.fixture(scope="module")
def fitted() -> ranker.Ranker:
    return ranker.fit([planted(0), planted(1)], FEATURES, SMALL, seed=0)


def test_loss_is_the_listwise_cross_entropy() -> None:
    scores, group = torch.tensor([1.0, 2.0, 0.0, 5.0]), torch.tensor([0, 0, 0, 1])
    loss = ranker.listwise_loss(scores, torch.tensor([1.0, 1.0, 0.0, 1.0]), torch.zeros(4), group)
    log_p = torch.log_softmax(scores[:3], dim=0)
    assert loss.item() == pytest.approx(-(log_p[0] + log_p[1]).item() / 2**0.5 / 2, rel=1e-5)


def test_a_row_of_a_sample_counts_as_often_as_it_stands_for_others() -> None:
    whole = torch.tensor([1.0, 0.5, 0.5, 0.5, -1.0])
    every = ranker.listwise_loss(
        whole, torch.tensor([1.0, 0, 0, 0, 0]), torch.zeros(5), torch.zeros(5, dtype=torch.long)
    )
    stands_for = torch.tensor([1.0, 3.0, 1.0]).log()
    sampled = ranker.listwise_loss(
        torch.tensor([1.0, 0.5, -1.0]), torch.tensor([1.0, 0, 0]), stands_for, torch.zeros(3, dtype=torch.long)
    )
    assert sampled.item() == pytest.approx(every.item(), rel=1e-5)


def test_learns_the_planted_rule(fitted: ranker.Ranker) -> None:
    unseen = planted(2)
    top = fitted.score(unseen.features).reshape(60, 20).argmax(axis=1)
    assert np.mean(unseen.labels.reshape(60, 20)[np.arange(60), top]) > 0.6
    assert next(iter(fitted.importance(unseen.features))) == FEATURES[3]


def test_same_windows_same_ranker_and_the_global_seed_stays(fitted: ranker.Ranker) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = ranker.fit([planted(0), planted(1)], FEATURES, SMALL, seed=0)
    assert torch.rand(1) == expected
    rows = planted(2).features
    np.testing.assert_array_equal(again.score(rows), fitted.score(rows))


def test_comes_back_from_its_folder(fitted: ranker.Ranker, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    rows = planted(2).features
    np.testing.assert_array_equal(ranker.Ranker.load(tmp_path, FEATURES).score(rows), fitted.score(rows))


def test_refuses_a_ranker_of_other_features(fitted: ranker.Ranker, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    path = tmp_path / ranker.PARAMETERS
    parameters = json.loads(path.read_text())
    parameters["features"][0] = "moon_phase"
    path.write_text(json.dumps(parameters))
    with pytest.raises(ModelError, match=r"ranker.json: .*other features .*moon_phase.*Fine-tune"):
        ranker.Ranker.load(tmp_path, FEATURES)


def test_scores_do_not_depend_on_blocks(fitted: ranker.Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(2).features
    whole = fitted.score(rows)
    monkeypatch.setattr(ranker, "BLOCK", 7)
    np.testing.assert_allclose(fitted.score(rows), whole, rtol=1e-4, atol=1e-5)
    assert fitted.score(rows[:0]).shape == (0,)
