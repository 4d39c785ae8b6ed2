"""What events say of their items by behaviour and rating."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contracts.ratings import Scale
from contracts.settings import Candidates as Caps
from models.behaviours import Behaviours, Known, shares
from models.candidates import generate
from models.cooccurrence import Cooccurrences
from models.excluded import Excluded
from models.histories import DAY, Histories
from tests.factories import NOW

NAN = float("nan")
STARS = Scale(1, 5, 4)
SHOP = Behaviours(("rating", "view"), (1.0, 0.2), (0,), (1,), STARS)


def rated(*events: tuple[int, int, int, float, float], users: int = 2) -> Histories:
    """Histories of (user, item, behaviour, days before NOW, rating)."""
    user, item, behaviour, days, rating = np.array(events, dtype=np.float64).reshape(-1, 5).T
    time = (NOW - days * DAY).astype(np.int64)
    return Histories.from_events(
        users,
        user.astype(int),
        item.astype(np.int32),
        behaviour.astype(np.int32),
        time,
        rating=rating.astype(np.float32),
    )


PAST = rated(
    (0, 1, 0, 9, 5), (0, 2, 0, 8, 1), (0, 3, 0, 7, 3), (0, 4, 1, 6, NAN), (0, 5, 0, 5, NAN),
    (0, 6, 0, 4, 1), (0, 6, 0, 3, 5),  # changed their mind
    (0, 7, 0, 4, 5), (0, 7, 0, 3, 2),  # and the other way
    (0, 8, 1, 2, NAN), (0, 8, 0, 1, 1),  # looked, and did not like it
    (1, 2, -1, 1, 5),  # a behaviour of another time
)  # fmt: skip


def test_strengths_and_targets_with_and_without_ratings() -> None:
    np.testing.assert_allclose(SHOP.strengths(PAST), _by_hand())
    assert PAST.items[SHOP.are_targets(PAST)].tolist() == [1, 5, 7, 6]
    blind = Behaviours(SHOP.names, SHOP.weights, SHOP.targets)
    assert set(blind.strengths(PAST).tolist()) == {1.0, np.float32(0.2), 0.0}
    assert blind.are_targets(PAST).sum() == 9


def _by_hand() -> list[float]:
    said = {(1, 5.0): 1, (2, 1.0): 0, (3, 3.0): 0.5, (6, 1.0): 0, (6, 5.0): 1, (7, 5.0): 1, (7, 2.0): 0.25, (8, 1.0): 0}
    made = []
    for item, behaviour, rating in zip(PAST.items, PAST.behaviours, PAST.ratings, strict=True):
        unrated = {0: 1.0, 1: 0.2, -1: 0.0}[int(behaviour)]
        made.append(unrated if np.isnan(rating) or behaviour < 0 else said[int(item), float(rating)])
    return made


def test_what_was_rated_low_is_had_and_not_brought_back() -> None:
    known = Known.of(PAST, SHOP, NOW)
    assert known.disliked is not None
    assert known.disliked.items.tolist() == [2, 3, 7, 8]  # by the newest rating of each
    had = known.had(np.zeros(10, np.int64), np.arange(10, dtype=np.int32), 10)
    assert np.flatnonzero(had).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    nothing = np.zeros(0, np.int32)
    pairs = Cooccurrences(np.zeros(3, np.int64), nothing, np.zeros(0, np.float32), nothing)
    caps = Caps(repeat=10, interest=10)
    none = np.full((2, 1), -1, np.int32)
    made = generate(known, pairs, none, none, nothing, 10, caps, Excluded.nothing(2))
    assert made.items[made.users == 0].tolist() == [1, 4, 5, 6]
    assert sorted(known.liked.items.tolist()) == [1, 4, 5, 6, 7, 8]
    other = known.take(np.array([1, 0]))
    assert other.disliked_keys(10).tolist() == [12, 13, 17, 18]
    assert known.only(np.arange(10) < 5).disliked_keys(10).tolist() == [2, 3]


def test_a_shop_without_a_scale_knows_nothing_low() -> None:
    known = Known.of(PAST, Behaviours(SHOP.names, SHOP.weights, SHOP.targets), NOW)
    assert known.disliked is None
    assert not len(known.disliked_keys(10))


@given(st.lists(st.one_of(st.just(NAN), st.floats(-100, 100)), max_size=20), st.floats(-10, 10), st.floats(0.1, 20))
def test_shares_rise_with_ratings_from_nothing_to_all(ratings: list[float], lowest: float, width: float) -> None:
    given_ = np.array(ratings, dtype=np.float32)
    left = shares(given_, Scale(lowest, lowest + width, lowest))
    assert ((left >= 0) & (left <= 1)).all()
    assert (left[np.isnan(given_)] == 1).all()
    order = np.argsort(given_[~np.isnan(given_)])
    assert (np.diff(left[~np.isnan(given_)][order]) >= 0).all()
    assert (shares(given_, None) == 1).all()


def test_ratings_go_with_their_events() -> None:
    assert PAST.take(np.array([1, 0])).ratings[0] == 5
    kept = PAST.last(2)
    assert kept.items.tolist() == [8, 8, 2]
    assert kept.ratings[1:].tolist() == [1, 5]
    again = Histories.joined([PAST.take(np.array([0])), PAST.take(np.array([1]))])
    for name, values in vars(PAST).items():
        np.testing.assert_array_equal(getattr(again, name), values)
