"""Neighbours and co-occurrence scores on literal baskets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from contracts.settings import Cooccurrence
from models import cooccurrence
from models.cooccurrence import Neighbours
from models.histories import DAY, Histories, basket_ids
from tests.factories import known_of, past_of

LOOSE = Cooccurrence(neighbours=3, min_weight=0.0, prior=1.0, popularity_power=0.5)


def test_baskets_end_with_the_user_and_after_a_pause() -> None:
    pause, short = 1_801 / DAY, 1_800 / DAY
    past = past_of((0, 1, 5), (0, 2, 5 - short), (0, 3, 5 - short - pause), (2, 1, 1), (2, 1, 1))
    assert basket_ids(past).tolist() == [0, 0, 1, 2, 2]


def test_a_session_is_a_basket_however_long_and_a_pause_ends_one_only_without_a_session() -> None:
    minute = 60
    sessions = np.array([7, 7, 9, 0, 0, 0, 7])
    times = np.array([0, 120, 121, 122, 140, 200, 201]) * minute
    zeros = np.zeros(7, dtype=np.int32)
    past = Histories.from_events(1, zeros, zeros, zeros, times, sessions)
    # two hours in session 7; session 9 a minute later; no session: 1, 18 and 60 minutes later
    assert basket_ids(past).tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_same_basket_counts_more_than_next_basket_and_no_item_is_its_own_neighbour() -> None:
    past = past_of((0, 0, 3), (0, 1, 3), (0, 2, 2), (1, 0, 3), (1, 1, 3), (1, 2, 2), (2, 0, 9), (2, 0, 8))
    neighbours = cooccurrence.neighbours_of(known_of(past), 4, LOOSE)
    assert neighbours.items[0].tolist() == [1, 2, -1]
    assert neighbours.weights[0, 0] > neighbours.weights[0, 1] > neighbours.weights[0, 2] == 0
    # Item 2 comes only after the others: it leads to them less than they to it
    assert neighbours.items[2].tolist() == [1, 0, -1]
    assert neighbours.weights[2, 0] < neighbours.weights[0, 1]


def test_an_item_is_its_own_neighbour_only_if_asked_and_only_when_it_is_taken_again_later() -> None:
    # item 0 again in the next basket; item 1 twice in one basket is not again
    past = past_of((0, 0, 3), (0, 2, 3), (0, 0, 2), (1, 1, 3), (1, 1, 3), (1, 2, 3))
    without = cooccurrence.neighbours_of(known_of(past), 4, LOOSE)
    own = cooccurrence.neighbours_of(known_of(past), 4, LOOSE, itself=True)
    assert without.items[:2].tolist() == [[2, -1, -1], [2, -1, -1]]
    assert sorted(own.items[0].tolist()) == [-1, 0, 2]
    assert own.items[1].tolist() == [2, -1, -1]
    np.testing.assert_array_equal(own.items[2], without.items[2])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([0.25, 0.5, 1.0])), max_size=30),
    st.integers(1, 4),
)
def test_the_strongest_of_each_row_are_those_of_a_full_sort(cells: list[tuple[int, int, float]], k: int) -> None:
    dense = np.zeros((6, 6), dtype=np.float32)
    for row, column, value in cells:
        dense[row, column] = value
    found = cooccurrence._strongest(sparse.csr_array(dense), k)
    for row in range(6):
        expected = sorted((-value, column) for column, value in enumerate(dense[row]) if value)[:k]
        assert found.items[row][found.items[row] >= 0].tolist() == [column for _, column in expected]
        assert found.weights[row][: len(expected)].tolist() == [-value for value, _ in expected]


def test_nothing_at_or_after_now_counts() -> None:
    past = past_of((0, 0, 3), (0, 1, 3))
    late = past_of((0, 0, 3), (0, 1, 3), (0, 2, 0), (0, 3, -1))
    for got, expected in zip(
        vars(cooccurrence.neighbours_of(known_of(late), 4, LOOSE)).values(),
        vars(cooccurrence.neighbours_of(known_of(past), 4, LOOSE)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


def test_no_events_no_neighbours() -> None:
    empty = past_of((0, 0, 3)).between(0, 0)
    neighbours = cooccurrence.neighbours_of(known_of(empty), 4, LOOSE)
    assert (neighbours.items == -1).all()
    assert cooccurrence.cooccurrences(known_of(empty), neighbours, LOOSE).indptr.tolist() == [0, 0, 0, 0]


def test_cooccurrence_sums_decayed_weights_and_names_the_strongest_cause() -> None:
    neighbours = Neighbours(
        np.array([[2, 3], [2, -1], [-1, -1], [-1, -1]], dtype=np.int32),
        np.array([[0.5, 0.25], [0.75, 0], [0, 0], [0, 0]], dtype=np.float32),
    )
    # ages count from the user's newest event: half a life for the older one
    past = past_of((0, 0, 7), (0, 1, 14), (2, 0, 7), (0, -1, 1))
    by_age = Cooccurrence(recent_half_life_days=7, recent_step_decay=1)
    pairs = cooccurrence.cooccurrences(known_of(past), neighbours, by_age)
    assert pairs.indptr.tolist() == [0, 2, 2, 4]
    assert pairs.items.tolist() == [2, 3, 2, 3]
    np.testing.assert_allclose(pairs.scores, [0.5 + 0.375, 0.25, 0.5, 0.25])
    assert pairs.because.tolist() == [0, 0, 0, 0]
    # a basket came after it besides
    by_both = Cooccurrence(recent_half_life_days=7, recent_step_decay=0.5)
    pairs = cooccurrence.cooccurrences(known_of(past), neighbours, by_both)
    np.testing.assert_allclose(pairs.scores, [0.5 + 0.1875, 0.25, 0.5, 0.25])


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 4), st.integers(0, 9)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=50)
@given(events)
def test_order_of_events_does_not_matter(rows: list[tuple[int, int, int]]) -> None:
    neighbours = cooccurrence.neighbours_of(known_of(past_of(*rows)), 5, LOOSE)
    again = cooccurrence.neighbours_of(known_of(past_of(*reversed(rows))), 5, LOOSE)
    np.testing.assert_array_equal(neighbours.items, again.items)
    np.testing.assert_array_equal(neighbours.weights, again.weights)
