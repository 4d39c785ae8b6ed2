"""What is tuned of a transformer: each kind on each architecture, merged or saved beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AlbertModel

from contracts.errors import SettingsError
from contracts.settings import Tower, Training
from models import adapters, artifact
from models.item_tower import ItemTower, Texts, first_tuned, merged, with_adapters
from models.tower_tuning import TextPairs, tune
from tests.bases import KINDS, LAYERS, TEXTS, WORDS, base_model

TUNED = ["adalora", "ia3", "prefix", "prompt"]
SETTINGS = Tower(tuned_layers=2, steps=4, batch=2, learning_rate=5e-2, lora_rank=2, virtual_tokens=3, max_tokens=16)
PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))


def settings_of(tuning: str, **changes: object) -> Tower:
    return SETTINGS.model_copy(update={"tuning": tuning, **changes})


def tuned(tower: ItemTower, settings: Tower) -> tuple[ItemTower, Texts]:
    """All steps, and the texts with what the frozen layers made of them before."""
    _, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, settings))
    tower = with_adapters(tower, settings)
    scores = iter(range(100))
    tune(tower, texts, PAIRS, Training(tower=settings), lambda: float(next(scores)), lambda *_: None)
    return merged(tower), texts


@pytest.mark.parametrize("tuning", TUNED)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_tunes_each_architecture_and_comes_back_from_its_folder(
    kind: str, tuning: str, tmp_path: Path
) -> None:
    tower = ItemTower.load(base_model(tmp_path / "base", kind), 16)
    before = tower.encode(TEXTS, 8)
    if tuning == "prefix" and kind in ("distilbert", "mpnet"):
        with pytest.raises(SettingsError, match=f"cannot do for a {kind}"):
            with_adapters(tower, settings_of(tuning))
        return
    tower, texts = tuned(tower, settings_of(tuning))
    after = tower.encode(TEXTS, 8)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(np.concatenate([tower.encode([text], 1) for text in TEXTS]), after, atol=1e-5)
    np.testing.assert_allclose(tower.encode_rows(texts, range(len(TEXTS)), 2), after, atol=1e-5)
    beside = tuning in ("prefix", "prompt")
    assert bool(texts.states) != beside  # what is put before a text changes the states of every layer

    tower.save(tmp_path / "tower")
    artifact.write_manifest(tmp_path / "tower", {})
    artifact.verify(tmp_path / "tower")
    assert (tmp_path / "tower" / adapters.FOLDER).is_dir() == beside
    assert not [file for file in (tmp_path / "tower").rglob("*.json") if str(tmp_path) in file.read_text()]
    again = ItemTower.load(tmp_path / "tower", 16)
    np.testing.assert_allclose(again.encode(TEXTS, 8), after, atol=1e-6)


@pytest.mark.parametrize("tuning", ["lora", *TUNED, "full", "frozen"])
def test_only_what_is_to_be_tuned_takes_gradients(tuning: str, tmp_path: Path) -> None:
    tower = with_adapters(ItemTower.load(base_model(tmp_path, "bert"), 16), settings_of(tuning))
    names = {name for name, weight in tower.encoder.named_parameters() if weight.requires_grad}
    last = tuple(f"{LAYERS['bert']}.{layer}." for layer in (1, 2))
    parts = {
        "lora": "lora_", "adalora": "lora_", "ia3": "ia3_", "prefix": "prompt_encoder", "prompt": "prompt_encoder",
        "full": "encoder.layer.",
    }  # fmt: skip
    if tuning == "frozen":
        assert not names
        return
    assert names
    assert all(parts[tuning] in name for name in names)
    if tuning == "ia3":
        assert all(any(part in name for part in ("key", "value", "output.dense")) for name in names)
    if tuning not in ("prefix", "prompt"):
        assert all(any(part in name for part in last) for name in names)


def test_adalora_shares_out_its_ranks_and_keeps_them_in_the_last_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of("adalora", steps=8)
    tower = with_adapters(ItemTower.load(base_model(tmp_path, "bert"), 16), settings)
    _, texts = tower.encode_first(TEXTS, 2, 0)
    ranks: list[int] = []

    def judged() -> float:
        values = [weight for name, weight in tower.encoder.named_parameters() if "lora_E" in name]
        ranks.append(sum(int((value != 0).sum()) for value in values))
        return float(len(ranks))

    tune(tower, texts, PAIRS, Training(tower=settings), judged, lambda *_: None)
    maps = 2 * 6  # two layers of six linear maps
    assert ranks[-1] == ranks[-2] == 2 * maps  # the rank of the settings, on average
    assert ranks[1] > ranks[-1]  # from half as much again


def test_the_penalty_of_adalora_pulls_towards_orthogonal_vectors(tmp_path: Path) -> None:
    tower = with_adapters(ItemTower.load(base_model(tmp_path, "gpt2"), 16), settings_of("adalora"))
    sides = {name: weight for name, weight in tower.encoder.named_parameters() if "lora_A" in name}

    def far() -> float:
        return sum(
            float(torch.linalg.matrix_norm(side @ side.T - torch.eye(len(side))).item()) for side in sides.values()
        )

    before = far()
    adapters.add_penalty(tower.encoder)
    with torch.no_grad():
        for side in sides.values():
            assert side.grad is not None
            side.sub_(0.1 * side.grad)
    assert far() < before


def test_a_kind_that_does_not_go_with_the_base_model_is_refused_in_words(tmp_path: Path) -> None:
    loaded = ItemTower.load(base_model(tmp_path, "bert"), 16)
    small: dict[str, Any] = {"vocab_size": WORDS, "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 3}
    albert = AlbertModel(AlbertConfig(**small, embedding_size=16, intermediate_size=64))
    shared = ItemTower(albert, loaded.tokenizer, 16)
    with pytest.raises(SettingsError, match=r"tuned_layers is 2, but the 3 layers of a albert share .* set it to 3"):
        with_adapters(shared, settings_of("lora"))
    with pytest.raises(SettingsError, match="known neither to peft nor here"):
        with_adapters(shared, settings_of("ia3", tuned_layers=3))
    with pytest.raises(SettingsError, match="reads 40 tokens at most"):
        with_adapters(loaded, settings_of("prompt", virtual_tokens=30))


@pytest.mark.parametrize("tuning", ["lora", "adalora", "full"])
def test_shared_layers_are_tuned_as_a_whole(tuning: str, tmp_path: Path) -> None:
    loaded = ItemTower.load(base_model(tmp_path, "bert"), 16)
    config = AlbertConfig(
        vocab_size=WORDS, hidden_size=32, embedding_size=16, intermediate_size=64, num_attention_heads=2,
        num_hidden_layers=3,
    )  # fmt: skip
    tower = ItemTower(AlbertModel(config), loaded.tokenizer, 16)
    before = tower.encode(TEXTS, 8)
    tower, _ = tuned(tower, settings_of(tuning, tuned_layers=3))
    assert np.abs(tower.encode(TEXTS, 8) - before).max() > 1e-3
