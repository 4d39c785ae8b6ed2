"""Neighbours and co-occurrence scores on literal trips."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models import cooccurrence
from models.cooccurrence import Neighbours, PairSettings
from models.histories import DAY, Histories

NOW = 1000 * DAY
LOOSE = PairSettings(neighbours=3, min_weight=0.0, prior=1.0)


def histories(*events: tuple[int, int, float], users: int = 3) -> Histories:
    """Histories of (user, item, days before NOW)."""
    user, item, age = (np.array(column) for column in zip(*events, strict=True))
    time = (NOW - age * DAY).astype(np.int64)
    zeros = np.zeros(len(events), dtype=np.int32)
    return Histories.from_events(users, user.astype(np.int32), item.astype(np.int32), zeros, time)


def test_trips_end_with_the_user_and_after_a_pause() -> None:
    pause, short = 1_801 / DAY, 1_800 / DAY
    past = histories((0, 1, 5), (0, 2, 5 - short), (0, 3, 5 - short - pause), (2, 1, 1), (2, 1, 1))
    assert cooccurrence.trip_ids(past).tolist() == [0, 0, 1, 2, 2]


def test_same_trip_counts_more_than_next_trip_and_no_item_is_its_own_neighbour() -> None:
    past = histories((0, 0, 3), (0, 1, 3), (0, 2, 2), (1, 0, 3), (1, 1, 3), (1, 2, 2), (2, 0, 9), (2, 0, 8))
    near = cooccurrence.neighbours(past, NOW, 4, LOOSE)
    assert near.items[0].tolist() == [1, 2, -1]
    assert near.weights[0, 0] > near.weights[0, 1] > near.weights[0, 2] == 0
    # Item 2 comes only after the others, so it leads to none of them.
    assert near.items[2].tolist() == [-1, -1, -1]


def test_nothing_at_or_after_now_counts() -> None:
    past = histories((0, 0, 3), (0, 1, 3))
    late = histories((0, 0, 3), (0, 1, 3), (0, 2, 0), (0, 3, -1))
    for found, expected in zip(
        vars(cooccurrence.neighbours(late, NOW, 4, LOOSE)).values(),
        vars(cooccurrence.neighbours(past, NOW, 4, LOOSE)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_no_events_no_neighbours() -> None:
    empty = histories((0, 0, 3)).between(0, 0)
    near = cooccurrence.neighbours(empty, NOW, 4, LOOSE)
    assert (near.items == -1).all()
    assert cooccurrence.together(empty, near, NOW).indptr.tolist() == [0, 0, 0, 0]


def test_together_sums_decayed_weights_and_names_the_strongest_cause() -> None:
    near = Neighbours(
        np.array([[2, 3], [2, -1], [-1, -1], [-1, -1]], dtype=np.int32),
        np.array([[0.5, 0.25], [0.75, 0], [0, 0], [0, 0]], dtype=np.float32),
    )
    past = histories((0, 0, 7), (0, 1, 14), (2, 0, 7), (0, -1, 1))
    found = cooccurrence.together(past, near, NOW, half_life_days=7)
    assert found.indptr.tolist() == [0, 2, 2, 4]
    assert found.items.tolist() == [2, 3, 2, 3]
    np.testing.assert_allclose(found.scores, [0.25 + 0.1875, 0.125, 0.25, 0.125])
    assert found.because.tolist() == [0, 0, 0, 0]


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 4), st.integers(0, 9)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=50)
@given(events)
def test_order_of_events_does_not_matter(rows: list[tuple[int, int, int]]) -> None:
    near = cooccurrence.neighbours(histories(*rows), NOW, 5, LOOSE)
    again = cooccurrence.neighbours(histories(*reversed(rows)), NOW, 5, LOOSE)
    np.testing.assert_array_equal(near.items, again.items)
    np.testing.assert_array_equal(near.weights, again.weights)
