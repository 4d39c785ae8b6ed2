"""Features on literal histories, against brute force, and what they must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settings import Cooccurrence, Features
from models import cooccurrence, item_state, ragged
from models.candidates import Candidates
from models.features.rows import feature_names, groups, values
from models.features.similarity import Likeness
from models.features.table import NEVER
from models.histories import DAY, Floats, Histories
from models.item_state import DailyCounts, Habits, ItemFacts
from models.pairs import Pairs
from models.ragged import first_in_group, rank_in_group
from tests.factories import NOW, PURCHASES, known_of, past_of

CODES = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 2], [0, 1, 2, 3, 3, 4], [0, 1, 0, 1, 0, 1]], dtype=np.int32)
ITEMS = CODES.shape[1]
SETTINGS = Features()
FEATURES = feature_names(SETTINGS, PURCHASES)
Row = tuple[int, int, float]


def every_item(users: int) -> Candidates:
    """Each item of the catalogue as a candidate of each user."""
    return Candidates(
        np.arange(users + 1, dtype=np.int64) * ITEMS,
        np.tile(np.arange(ITEMS, dtype=np.int32), users),
        np.zeros(users * ITEMS, dtype=np.int8),
    )


def habits_of(past: Histories) -> Habits:
    return item_state.habits_of(past, NOW, CODES[2], SETTINGS.prior)


def facts_of(past: Histories) -> ItemFacts:
    popularity = item_state.popularity_of(DailyCounts.of(known_of(past)), NOW, ITEMS)
    return ItemFacts(CODES, popularity, habits_of(past), np.ones(ITEMS, dtype=np.bool_))


def rows_of(past: Histories, facts: ItemFacts) -> Floats:
    """Features of every item for every user, [users, items, features]."""
    counted = Cooccurrence(neighbours=3, min_weight=0)
    known = known_of(past)
    pairs = cooccurrence.cooccurrences(known, cooccurrence.neighbours_of(known, ITEMS, counted), counted)
    users = len(past)
    match = np.arange(users * ITEMS, dtype=np.float32)
    texts = (Likeness(match, match, match),) * 2
    rows = values(groups(known, every_item(users), facts, pairs, match, (-match, match), texts, SETTINGS))
    return rows.reshape(users, ITEMS, len(FEATURES))


def column(rows: Floats, name: str) -> Floats:
    return rows[..., FEATURES.index(name)]


TOY = past_of((0, 1, 1), (0, 1, 11), (0, 1, 21), (0, 2, 1), (0, 2, 1), (0, 3, 40), (2, 1, 5), (2, -1, 2))


def test_own_history_of_a_literal_user() -> None:
    rows = rows_of(TOY, facts_of(TOY))
    assert column(rows, "own_count")[0].tolist() == [0, 3, 2, 1, 0, 0]
    assert column(rows, "days_since")[0].tolist() == [NEVER, 1, 1, 40, NEVER, NEVER]
    assert column(rows, "baskets_since")[0].tolist() == [NEVER, 0, 0, 3, NEVER, NEVER]
    assert column(rows, "own_gap")[0].tolist() == [NEVER, 10, 0, NEVER, NEVER, NEVER]
    assert column(rows, "days_since_over_own_gap")[0, 1] == pytest.approx(0.1)
    assert column(rows, "own_last_basket")[0].tolist() == [0, 1, 1, 0, 0, 0]
    assert column(rows, "own_rank")[0].tolist() == [NEVER, 0, 1, 2, NEVER, NEVER]
    assert column(rows, "own_week_2")[0].tolist() == [0, 1, 0, 0, 0, 0]
    assert column(rows, "own_weeks_5_8")[0].tolist() == [0, 0, 0, 1, 0, 0]


def test_rhythm_and_taste_of_a_literal_user() -> None:
    rows = rows_of(TOY, facts_of(TOY))
    assert column(rows, "user_baskets_month")[:, 0].tolist() == [3, 0, 1]
    assert column(rows, "user_days_since_basket")[:, 0].tolist() == [1, NEVER, 5]
    assert column(rows, "user_new_rate")[0, 0] == pytest.approx(3 / 6)
    assert column(rows, "category_days_since")[0].tolist() == [1, 1, 1, 40, 40, 40]
    assert column(rows, "department_own_part")[2].tolist() == [0, 1, 0, 0, 0, 0]
    # Items of a department share its affinity, whichever of them the user took.
    assert len(set(column(rows, "department_share")[0, :3].tolist())) == 1


def test_a_user_without_history_has_finite_features() -> None:
    rows = rows_of(TOY, facts_of(TOY))
    assert np.isfinite(rows).all()
    assert (column(rows, "own_count")[1] == 0).all()
    assert rows_of(TOY.between(0, 0), facts_of(TOY.between(0, 0))).shape == (3, ITEMS, len(FEATURES))


def test_scores_of_other_parts_pass_through() -> None:
    rows = rows_of(TOY, facts_of(TOY))
    assert column(rows, "match").ravel().tolist() == list(range(3 * ITEMS))
    assert column(rows, "near").ravel().tolist() == [-value for value in range(3 * ITEMS)]


def test_popularity_is_the_same_from_any_daily_counts() -> None:
    days = np.array([NOW // DAY - age for age in (1, 3, 7, 8, 28, 29, 0, -1)], dtype=np.int32)
    counts = DailyCounts(np.full(8, 4, dtype=np.int32), days, np.full(8, 2, dtype=np.int32), np.full(8, 3, np.float32))
    popularity = item_state.popularity_of(counts, NOW, ITEMS)
    assert [column[4] for column in vars(popularity).values()] == [4, 6, 10, 12, 3, 9, 15, 29]
    assert DailyCounts.of(known_of(TOY)).events.tolist() == [1, 1, 1, 1, 2, 1]


def test_habits_learn_gaps_and_pull_rare_items_to_their_type() -> None:
    often = [(user, 0, age) for user in range(3) for age in range(1, 300, 3)]
    habits = habits_of(past_of(*often, (0, 3, 9)))
    assert habits.gap[0] == pytest.approx(3, rel=0.05)
    assert habits.again[0] > habits.again[5] > habits.again[3]
    assert habits.again[3] == pytest.approx(habits.again[4], rel=0.2)
    assert habits.again_within_week[0] > 0.9
    assert habits.users.tolist() == [3, 0, 0, 1, 0, 0]


def test_find_gives_the_length_for_what_is_missing() -> None:
    keys = np.array([2, 5, 9])
    assert ragged.find(keys, np.array([9, 1, 5, 10, 2])).tolist() == [2, 3, 1, 3, 0]
    assert ragged.find(keys[:0], np.array([9])).tolist() == [0]


def test_ranks_in_groups_keep_ties_as_they_come() -> None:
    group, value = np.array([0, 0, 0, 3, 3]), np.array([2.0, 1.0, 1.0, 5.0, 4.0])
    assert ragged.rank_in_group(group, value).tolist() == [2, 0, 1, 1, 0]


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, ITEMS - 1), st.integers(1, 200).map(float)), max_size=30)


@settings(deadline=None, max_examples=40)
@given(events)
def test_decayed_shares_equal_the_brute_force(rows: list[Row]) -> None:
    past = past_of(*rows)
    shares = column(rows_of(past, facts_of(past)), "share_30")
    expected = np.zeros((3, ITEMS))
    for user, item, age in rows:
        if item >= 0:
            expected[user, item] += 0.5 ** (age / 30)
    total = expected.sum(axis=1, keepdims=True)
    expected = np.divide(expected, total, out=np.zeros_like(expected), where=total > 0)
    np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(events, st.permutations([0, 1, 2]))
def test_a_user_has_the_same_features_in_any_company(rows: list[Row], order: list[int]) -> None:
    past, facts = past_of(*rows), facts_of(past_of(*rows))
    everyone, columns = rows_of(past, facts), slice(0, FEATURES.index("cooccurrence"))
    shuffled = rows_of(past.take(order), facts)
    np.testing.assert_array_equal(shuffled[..., columns], everyone[order][..., columns])


@settings(deadline=None, max_examples=40)
@given(events, events)
def test_nothing_at_or_after_now_leaks(rows: list[Row], later: list[Row]) -> None:
    past = past_of(*rows)
    with_future = past_of(*rows, *((user, item, 1 - age) for user, item, age in later))
    np.testing.assert_array_equal(rows_of(past, facts_of(past)), rows_of(with_future, facts_of(with_future)))


def test_likeness_of_texts_of_a_literal_user() -> None:
    texts = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0, 0]], dtype=np.float32)
    # oldest first: item 1, then item 0; nothing; item 3 alone
    recent = past_of((0, 1, 9), (0, 0, 2), (2, 3, 1))
    made = Likeness.of(
        recent,
        np.array([1, 3, 1], dtype=np.float32),
        texts,
        np.array([0, 3, 4, 5]),
        np.array([2, 3, 4, 2, 0], dtype=np.int32),
    )
    assert made.last.tolist() == pytest.approx([0.6, -1, 0, 0, -1])
    assert made.best.tolist() == pytest.approx([0.8, 0, 0, 0, -1])
    assert made.mean.tolist() == pytest.approx([(0.8 + 3 * 0.6) / 4, -0.75, 0, 0, -1])


@given(st.integers(0, 10_000))
def test_pairs_are_those_of_a_stable_sort(seed: int) -> None:
    random = np.random.default_rng(seed)
    users = np.sort(random.choice([0, 1, 2, 5, 9], random.integers(0, 60))).astype(np.int64)
    codes = random.integers(0, 7, len(users)).astype(np.int32)
    pairs = Pairs.of(users, codes, 7)
    order = np.argsort(users * 7 + codes, kind="stable")
    np.testing.assert_array_equal(pairs.order, order)
    np.testing.assert_array_equal(pairs.keys, np.unique(users * 7 + codes))
    np.testing.assert_array_equal(pairs.keys, (users * 7 + codes)[order][pairs.starts])


@given(seed=st.integers(0, 10_000), together=st.booleans())
def test_ranks_in_groups_are_those_of_a_sort_of_everything(*, seed: int, together: bool) -> None:
    random = np.random.default_rng(seed)
    group = random.choice([3, 4, 8], random.integers(0, 60)).astype(np.int64)
    group = np.sort(group) if together else group
    first, second = random.integers(0, 4, (2, len(group)))
    order = np.lexsort((second, first, group))
    index, ranks = first_in_group(group, 3, first.astype(np.float32), second)
    np.testing.assert_array_equal(
        index, order[[np.sum(group[order[:at]] == group[order[at]]) < 3 for at in range(len(order))]]
    )
    np.testing.assert_array_equal(ranks, rank_in_group(group, first.astype(np.float32), second)[index])
