"""The best matches are those of brute force, whatever else is scored, excluded, capped, or tied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.excluded import Excluded
from models.kernel import Cap, ItemIndex
from models.ragged import Flags, Floats, Ints, indptr_of


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def brute_force(scores: Floats, allowed: Flags, k: int, excluded: Excluded, cap: Cap | None) -> Ints:
    """By sorting everything, [users, k]; the scores are [users, items]."""
    lists = np.full((len(scores), k), -1, dtype=np.int32)
    for user, row in enumerate(scores):
        mine = excluded.items[excluded.indptr[user] : excluded.indptr[user + 1]]
        counts: dict[int, int] = {}
        best: list[int] = []
        for item in np.lexsort((np.arange(len(row)), -row)).tolist():
            category = int(cap.categories[item]) if cap else item
            if not allowed[item] or item in mine or counts.get(category, 0) == (cap.most if cap else 1):
                continue
            counts[category] = counts.get(category, 0) + 1
            best.append(item)
        lists[user, : len(best[:k])] = best[:k]
    return lists


def some_excluded(random: np.random.Generator, users: int, items: int, share: float) -> Excluded:
    is_excluded = random.random((users, items)) < share
    return Excluded(indptr_of(is_excluded.sum(axis=1)), np.nonzero(is_excluded)[1].astype(np.int32))


def whole_numbers(random: np.random.Generator, rows: int, size: int) -> Floats:
    """Vectors whose products are exact in any order, with many ties."""
    return random.integers(-2, 3, (rows, size)).astype(np.float32)


@given(
    seed=st.integers(0, 10_000),
    items=st.sampled_from([1, 2, 40, 127, 1_000, 1_030, 1_160, 2_500]),
    k=st.sampled_from([1, 3, 10, 150, 500]),
    excluded=st.sampled_from([0.0, 0.3, 1.0]),
    allowed=st.sampled_from([0.1, 0.8, 1.0]),
    most=st.sampled_from([None, 1, 3]),
)
def test_matches_are_those_of_brute_force(
    seed: int, items: int, k: int, excluded: float, allowed: float, most: int | None
) -> None:
    random = np.random.default_rng(seed)
    users, vectors = whole_numbers(random, 3, 4), whole_numbers(random, items, 4)
    is_allowed = random.random(items) < allowed
    leaves_out = some_excluded(random, 3, items, excluded)
    cap = Cap(random.integers(0, 20, items).astype(np.int32), most) if most else None
    matches = ItemIndex.of(vectors, is_allowed).best(users, k, leaves_out, cap)
    wanted = brute_force(users @ vectors.T, is_allowed, k, leaves_out, cap)
    wanted[~users.any(axis=1)] = -1
    np.testing.assert_array_equal(matches, wanted)


@pytest.mark.parametrize("k", [20, 150, 500])
def test_of_many_items_too(k: int) -> None:
    random = np.random.default_rng(k)
    users = random.normal(size=(40, 16)).astype(np.float32)
    vectors = random.normal(size=(9_000, 16)).astype(np.float32)
    leaves_out = some_excluded(random, 40, 9_000, 0.2)
    matches = ItemIndex.of(vectors).best(users, k, leaves_out)
    scores = users.astype(np.float64) @ vectors.T.astype(np.float64)
    wanted = brute_force(scores.astype(np.float32), np.ones(9_000, np.bool_), k, leaves_out, None)
    # the product rounds otherwise than float64: as good, if not always the same
    found = np.take_along_axis(scores, matches.astype(np.int64), axis=1)
    np.testing.assert_allclose(found, np.take_along_axis(scores, wanted.astype(np.int64), axis=1), atol=1e-4)
    assert not np.isin(np.arange(40)[:, None] * 9_000 + matches, leaves_out.keys(9_000)).any()


def test_a_guess_that_is_too_high_is_mended() -> None:
    """Every 61st item is the best of its kind, so that the sample promises too much."""
    vectors = np.full((10_000, 1), 1, dtype=np.float32)
    vectors[::61] = 2
    matches = ItemIndex.of(vectors).best(np.ones((1, 1), np.float32), 300)
    best = np.arange(0, 10_000, 61)
    others = np.setdiff1d(np.arange(10_000), best)[: 300 - len(best)]
    np.testing.assert_array_equal(matches[0], [*best, *others])


@pytest.mark.parametrize("threads_used", [1, 2])
def test_nobody_else_changes_what_a_user_gets(threads_used: int) -> None:
    random = np.random.default_rng(0)
    users = random.normal(size=(700, 24)).astype(np.float32)
    index = ItemIndex.of(random.normal(size=(3_300, 24)).astype(np.float32))
    torch.set_num_threads(1)
    whole = index.best(users, 50)
    torch.set_num_threads(threads_used)
    np.testing.assert_array_equal(index.best(users, 50), whole)
    assert torch.get_num_threads() == threads_used
    for part in ([3], [699, 1], [5, 6, 7, 8, 9], list(range(100, 400))):
        np.testing.assert_array_equal(index.best(users[part], 50), whole[part])


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_an_item_without_a_score_is_no_match(value: float) -> None:
    vectors = np.array([[1], [value], [-3], [0]], dtype=np.float32)
    matches, scores = ItemIndex.of(vectors).best_and_scores(np.ones((1, 1), np.float32), 5)
    assert matches.tolist() == [[0, 3, 2, -1, -1]]
    np.testing.assert_array_equal(scores, np.array([[1, 0, -3, np.nan, np.nan]], np.float32))


def test_excluded_items_must_be_ascending() -> None:
    with pytest.raises(ValueError, match="ascending"):
        Excluded(np.array([0, 2]), np.array([5, 3], dtype=np.int32))
    Excluded(np.array([0, 1, 2]), np.array([5, 3], dtype=np.int32))  # of two users
