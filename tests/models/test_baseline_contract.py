"""What holds for every baseline, whatever it does inside."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.settings import Baselines, Cooccurrence
from models.baselines.als import Als
from models.baselines.base import Baseline
from models.baselines.ease import Ease
from models.baselines.id_transformer import IdTransformer
from models.baselines.item_knn import ItemKnn
from models.baselines.next_basket import NextBasket
from models.baselines.own_repeats import OwnRepeats
from models.baselines.popular import Popular
from models.behaviours import Behaviours, Known
from models.excluded import Excluded
from models.histories import DAY, Floats, Histories, Ints, Longs
from models.ragged import indptr_of
from tests.factories import NOW

ITEMS, USERS, N = 30, 40, 6
SHOP = Behaviours(("view", "purchase"), (0.1, 1.0), (1,), (0,))
RULES = Baselines(neighbours=5, transformer_epochs=2)


def random_factors(user: Longs, item: Ints, count: Floats, items: int) -> Floats:
    """Stands for Spark's: that any factors give lists is what is tested here."""
    return np.random.default_rng(0).normal(size=(items, 32)).astype(np.float32)


BASELINES = [
    Popular(RULES), OwnRepeats(RULES), ItemKnn(RULES, Cooccurrence(neighbours=4)), NextBasket(RULES),
    Als(RULES, random_factors), Ease(RULES), IdTransformer(RULES),
]  # fmt: skip


def history(seed: int = 0) -> Histories:
    """Views and purchases with ties, duplicates, items outside the catalogue and events of the future.

    User 0 has no event, user 1 only views, user 2 only an item that the catalogue does not hold.
    """
    random = np.random.default_rng(seed)
    count = 400
    user = random.integers(3, USERS, count)
    item = np.minimum(random.geometric(0.12, count) - 1, ITEMS - 1)
    behaviour = random.integers(0, 2, count)
    # whole days: many events of one moment; some of now and later
    time = NOW - random.integers(-2, 90, count) * DAY
    extra = np.array([(1, 4, 0, 3), (1, 5, 0, 2), (2, -1, 1, 4), (3, -1, 0, 1)])
    return Histories.from_events(
        USERS,
        np.append(user, extra[:, 0]),
        np.append(item, extra[:, 1]).astype(np.int32),
        np.append(behaviour, extra[:, 2]).astype(np.int32),
        np.append(time, NOW - extra[:, 3] * DAY),
    )


def known_of(histories: Histories) -> Known:
    return Known.of(histories, SHOP, NOW)


@pytest.fixture(scope="module", params=BASELINES, ids=lambda each: each.name.removeprefix("baseline/"))
def baseline(request: pytest.FixtureRequest) -> Baseline:
    fitted: Baseline = request.param.fit(known_of(history()), ITEMS)
    return fitted


@pytest.fixture
def everyone() -> Known:
    return known_of(history())


def lists(baseline: Baseline, known: Known, excluded: Excluded | None = None, n: int = N) -> Ints:
    return baseline.recommend(known, n, excluded or Excluded.nothing(len(known.past)))


def test_lists_are_full_and_have_no_item_twice(baseline: Baseline, everyone: Known) -> None:
    made = lists(baseline, everyone)
    assert made.shape == (USERS, N)
    assert made.dtype == np.int32
    assert ((made >= 0) & (made < ITEMS)).all()
    assert all(len(set(row.tolist())) == N for row in made)


def test_the_same_twice(baseline: Baseline, everyone: Known) -> None:
    first = lists(baseline, everyone)
    again = baseline.fit(everyone, ITEMS)
    np.testing.assert_array_equal(lists(again, everyone), first)


def test_a_user_alone_gets_what_they_get_among_others(baseline: Baseline, everyone: Known) -> None:
    whole = lists(baseline, everyone)
    order = np.random.default_rng(1).permutation(USERS)
    np.testing.assert_array_equal(lists(baseline, everyone.take(order)), whole[order])
    for user in (0, 1, 7):
        np.testing.assert_array_equal(lists(baseline, everyone.take(np.array([user]))), whole[[user]])


def test_what_is_excluded_is_never_listed_and_something_else_takes_its_place(
    baseline: Baseline, everyone: Known
) -> None:
    whole = lists(baseline, everyone)
    excluded = Excluded(np.arange(USERS + 1, dtype=np.int64) * 2, np.sort(whole[:, :2], axis=1).ravel())
    made = lists(baseline, everyone, excluded)
    for user in range(USERS):
        assert not set(whole[user, :2].tolist()) & set(made[user].tolist())
    assert (made >= 0).all()


def test_nothing_at_or_after_now_is_read(baseline: Baseline, everyone: Known) -> None:
    past = history()
    ended = past.select(past.times < NOW)
    np.testing.assert_array_equal(lists(baseline, known_of(ended)), lists(baseline, everyone))
    np.testing.assert_array_equal(
        lists(baseline.fit(known_of(ended), ITEMS), everyone), lists(baseline.fit(everyone, ITEMS), everyone)
    )


def test_without_a_history_the_popular_list(baseline: Baseline, everyone: Known) -> None:
    made = lists(baseline, everyone)
    popular = Popular(RULES).fit(everyone, ITEMS).recommend(everyone, N, Excluded.nothing(USERS))
    for nobody in (0, 2):
        np.testing.assert_array_equal(made[nobody], popular[nobody])


def test_a_list_ends_where_the_items_end(baseline: Baseline, everyone: Known) -> None:
    made = lists(baseline, everyone, n=ITEMS + 5)
    seen = set(everyone.past.items.tolist())
    for row in made:
        real = row[row >= 0]
        assert (row[len(real) :] == -1).all()
        assert set(real.tolist()) <= set(range(ITEMS))
        assert seen <= set(real.tolist())


def test_a_shop_without_any_event_has_empty_lists(baseline: Baseline) -> None:
    empty = known_of(history().between(0, 0))
    assert (lists(baseline.fit(empty, ITEMS), empty) == -1).all()
    baseline.fit(known_of(history()), ITEMS)


def test_nobody_can_be_excluded_from_everything_but_the_rest(baseline: Baseline, everyone: Known) -> None:
    everything = Excluded(indptr_of(np.full(USERS, ITEMS - 1)), np.tile(np.arange(1, ITEMS, dtype=np.int32), USERS))
    assert lists(baseline, everyone, everything)[:, 0].tolist() == [0] * USERS
