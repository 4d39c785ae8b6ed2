"""Approximate search keeps the rules, is exact when all lists are looked into, and is the same each time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import SettingsError
from contracts.settings import Scoring
from models.approximate import ApproximateIndex, load_lists, make_lists, number_of_lists, save_lists
from models.excluded import Excluded
from models.item_state import Approximation
from models.kernel import Cap, ItemIndex
from models.ragged import Flags, Floats, indptr_of
from models.recommend import Rules, generated, recall
from models.user_encoder import UserEncoder
from tests.factories import TINY, known_of, shop_histories, shop_state

EVERY_LIST = 10_000


def clustered(random: np.random.Generator, rows: int, size: int = 8) -> Floats:
    """Vectors in a dozen heaps, as the items of a shop are."""
    heaps = random.standard_normal((12, size))
    return (heaps[random.integers(0, 12, rows)] + 0.4 * random.standard_normal((rows, size))).astype(np.float32)


def index_of(vectors: Floats, allowed: Flags, probes: int) -> ApproximateIndex:
    return ApproximateIndex.of(ItemIndex.of(vectors, allowed), make_lists(vectors, allowed), probes)


def some_excluded(random: np.random.Generator, users: int, items: int, share: float) -> Excluded:
    is_excluded = random.random((users, items)) < share
    return Excluded(indptr_of(is_excluded.sum(axis=1)), np.nonzero(is_excluded)[1].astype(np.int32))


@given(
    seed=st.integers(0, 10_000),
    items=st.sampled_from([0, 1, 39, 80, 1_000]),
    k=st.sampled_from([1, 10, 60]),
    excluded=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    allowed=st.sampled_from([0.0, 0.3, 1.0]),
    most=st.sampled_from([None, 1, 4]),
    probes=st.sampled_from([1, 3, EVERY_LIST]),
)
def test_the_rules_hold_and_lists_are_as_long_as_exact_ones(
    seed: int, items: int, k: int, excluded: float, allowed: float, most: int | None, probes: int
) -> None:
    random = np.random.default_rng(seed)
    vectors, users = clustered(random, items), clustered(random, 9)
    users[4] = 0
    is_allowed = random.random(items) < allowed
    leaves_out = some_excluded(random, 9, items, excluded)
    categories = random.integers(0, 15, items).astype(np.int32)
    cap = Cap(categories, most) if most else None
    index = index_of(vectors, is_allowed, probes)
    found, exact = (each.best(users, k, leaves_out, cap) for each in (index, index.exact))
    np.testing.assert_array_equal(found >= 0, exact >= 0)
    assert (found[4] == -1).all()
    for user, row in enumerate(found):
        mine = row[row >= 0]
        assert len(set(mine.tolist())) == len(mine)
        assert is_allowed[mine].all()
        assert not np.isin(mine, leaves_out.items[leaves_out.indptr[user] : leaves_out.indptr[user + 1]]).any()
        assert most is None or np.bincount(categories[mine]).max(initial=0) <= most
    if probes == EVERY_LIST:
        np.testing.assert_array_equal(found, exact)


def test_of_equal_items_the_smaller_one_comes_first_and_stays() -> None:
    random = np.random.default_rng(0)
    vectors = np.repeat(clustered(random, 300), 5, axis=0)[random.permutation(1_500)]
    index = index_of(vectors, np.ones(1_500, np.bool_), EVERY_LIST)
    users = clustered(random, 40)
    np.testing.assert_array_equal(index.best(users, 33), index.exact.best(users, 33))


def test_more_lists_miss_less_and_few_miss_some() -> None:
    random = np.random.default_rng(1)
    vectors, users = random.standard_normal((20_000, 16)).astype(np.float32), clustered(random, 50, 16)
    allowed = np.ones(len(vectors), np.bool_)
    exact, lists = ItemIndex.of(vectors), make_lists(vectors, allowed)
    wanted = exact.best(users, 20)
    shares = [
        np.mean([np.isin(*pair).mean() for pair in zip(wanted, found, strict=True)])
        for found in (ApproximateIndex.of(exact, lists, probes).best(users, 20) for probes in (4, 32, EVERY_LIST))
    ]
    assert 0.1 < shares[0] < shares[1] < shares[2] == 1


def test_nobody_else_changes_what_a_user_gets_nor_does_another_making(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    vectors, users = clustered(random, 3_000), clustered(random, 70)
    allowed = random.random(3_000) < 0.9
    leaves_out = some_excluded(random, 70, 3_000, 0.02)
    whole = index_of(vectors, allowed, 5).best(users, 20, leaves_out)
    for name in ("a", "b"):
        save_lists(make_lists(vectors, allowed), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = ApproximateIndex.of(ItemIndex.of(vectors, allowed), load_lists(tmp_path / "a"), 5)
    for part in ([3], [69, 1], list(range(10, 60))):
        np.testing.assert_array_equal(read.best(users[part], 20, leaves_out.take(np.array(part))), whole[part])


def test_lists_grow_with_the_root_of_the_items_and_small_shops_have_few() -> None:
    assert [number_of_lists(items) for items in (0, 30, 390, 90_000, 1_000_000)] == [1, 1, 10, 1_200, 4_000]


def test_a_state_with_lists_is_searched_by_them_and_tells_what_they_miss(encoder: UserEncoder) -> None:
    histories = shop_histories()
    plain, known = shop_state(histories), known_of(histories)
    lists = Approximation(make_lists(plain.vectors, plain.allowed), make_lists(plain.texts, plain.allowed), 1)
    state = replace(plain, approximation=lists)
    assert isinstance(state.matching, ApproximateIndex)
    assert isinstance(state.matching_texts, ApproximateIndex)
    nothing = Excluded.nothing(len(histories))
    told = recall(known, state, encoder, TINY, nothing, Rules(5))
    # twelve items are in one list, into which everyone looks
    assert told.users == len(histories)
    assert told.found == told.exact > 0
    made, exact = (generated(known, each, encoder, TINY, nothing, Rules(5)).candidates for each in (state, plain))
    np.testing.assert_array_equal(made.items, exact.items)


def test_the_search_is_one_of_the_rules_and_what_it_does_not_use_is_none() -> None:
    exact = Scoring().rules_hash
    assert Scoring(search_probes=3).rules_hash == exact
    hashes = {Scoring(search="approximate", search_probes=probes).rules_hash for probes in (3, 64)}
    assert len(hashes | {exact}) == 3


def test_without_faiss_the_setting_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(SettingsError, match=r"search = .approximate. needs faiss.*pip install faiss-cpu"):
        make_lists(np.zeros((3, 2), np.float32), np.ones(3, np.bool_))
