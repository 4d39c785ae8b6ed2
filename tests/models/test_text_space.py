"""The space in which texts are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.text_space import TextSpace


def vectors_of(texts: int, size: int) -> np.ndarray:
    made = np.random.default_rng(2).normal(size=(texts, size)).astype(np.float32) + 1
    made[:, 2:] *= 0.01  # two directions say nearly all
    return made


def test_few_directions_keep_the_cosines() -> None:
    vectors = vectors_of(50, 8)
    whole, part = (TextSpace.of(vectors, size).of_texts(vectors) for size in (100, 2))
    assert (whole.shape, part.shape) == ((50, 8), (50, 2))
    centred = vectors - vectors.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(whole @ whole.T, centred @ centred.T, atol=1e-5)
    np.testing.assert_allclose(part @ part.T, centred @ centred.T, atol=0.05)


def test_texts_that_are_all_the_same_say_nothing() -> None:
    vectors = np.tile(vectors_of(1, 8), (9, 1))
    assert not TextSpace.of(vectors, 4).of_texts(vectors).any()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    space = TextSpace.of(vectors_of(9, 8), 4)
    space.save(tmp_path)
    again = TextSpace.load(tmp_path)
    np.testing.assert_array_equal(space.of_texts(vectors_of(9, 8)), again.of_texts(vectors_of(9, 8)))
