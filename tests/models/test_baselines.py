"""Each baseline on a literal history, with its list worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settings import Baselines, Cooccurrence
from models.baselines.als import ALPHA, PENALTY, Als
from models.baselines.base import Baseline
from models.baselines.ease import Ease
from models.baselines.id_transformer import IdTransformer
from models.baselines.item_knn import ItemKnn
from models.baselines.next_basket import NextBasket
from models.baselines.own_repeats import OwnRepeats
from models.baselines.popular import Popular
from models.excluded import Excluded
from models.histories import Floats, Histories, Ints, Longs
from tests.factories import known_of, past_of

TOY = past_of((0, 5, 1), (0, 5, 2), (0, 2, 1), (0, 4, 30), (1, 2, 3), (1, -1, 1), (1, 4, 2), (0, 1, -1))
RULES = Baselines()


def lists(baseline: Baseline, past: Histories, n: int, items: int = 6) -> list[list[int]]:
    known = known_of(past)
    made: list[list[int]] = baseline.fit(known, items).recommend(known, n, Excluded.nothing(len(past))).tolist()
    return made


def test_popular_counts_events_of_the_last_days_then_of_all_time_ties_by_item() -> None:
    assert lists(Popular(RULES), TOY, 4) == [[2, 5, 4, -1]] * 3
    assert lists(Popular(Baselines(popular_days=1)), TOY, 4) == [[2, 5, 4, -1]] * 3
    assert lists(Popular(RULES), past_of((0, 3, 50), (0, 3, 51), (1, 1, 60)), 2) == [[3, 1]] * 3


def test_own_repeats_come_first_then_popular_without_duplicates() -> None:
    assert lists(OwnRepeats(RULES), TOY, 4) == [[5, 2, 4, -1], [4, 2, 5, -1], [2, 5, 4, -1]]


def test_own_repeats_decay_by_the_half_life() -> None:
    twice_long_ago = past_of((0, 1, 60), (0, 1, 60), (0, 2, 1))
    assert lists(OwnRepeats(Baselines(repeat_half_life_days=30)), twice_long_ago, 2)[0] == [2, 1]
    assert lists(OwnRepeats(Baselines(repeat_half_life_days=300)), twice_long_ago, 2)[0] == [1, 2]


def test_item_knn_follows_what_others_took_together() -> None:
    past = past_of((0, 1, 9), (0, 2, 9), (1, 1, 8), (1, 2, 8), (2, 1, 1))
    assert lists(ItemKnn(RULES, Cooccurrence(min_weight=0.1)), past, 2, 4)[2] == [2, 1]


def test_next_basket_adds_what_like_users_take() -> None:
    # users 0 and 1 share two rare items; user 2 has another one; item 0 is everyone's
    past = past_of(
        (0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 1), (1, 1, 1), (1, 2, 1), (1, 3, 1), (2, 0, 1), (2, 4, 1), (2, 5, 1)
    )
    assert lists(NextBasket(Baselines(neighbours=1, popular_days=1)), past, 4)[0] == [0, 1, 2, 3]


def test_ease_of_two_items_is_the_closed_form() -> None:
    baseline = Ease(Baselines(ease_penalty=1.0))
    past = past_of((0, 0, 1), (0, 1, 1), (1, 0, 1), (2, 1, 1))
    baseline.fit(known_of(past), 2)
    # the Gram matrix with the penalty is [[3, 1], [1, 3]], its inverse [[3, -1], [-1, 3]] / 8: B = 1/3 off the diagonal
    np.testing.assert_allclose(baseline.weights, [[0, 1 / 3], [1 / 3, 0]], atol=1e-6)


def test_ease_of_a_larger_catalogue_keeps_the_items_with_most_events() -> None:
    baseline = Ease(Baselines(ease_items=2))
    baseline.fit(known_of(TOY), 6)
    assert baseline.taking_part.tolist() == [2, 4]


def test_als_folds_a_user_in_by_the_closed_form() -> None:
    factors = np.random.default_rng(0).normal(size=(6, 32)).astype(np.float32)

    def given_factors(user: Longs, item: Ints, count: Floats, items: int) -> Floats:
        assert (user.tolist(), item.tolist(), count.tolist(), items) == (
            [0, 0, 0, 1, 1],
            [2, 4, 5, 2, 4],
            [1, 1, 2, 1, 1],
            6,
        )
        return factors

    made = lists(Als(RULES, given_factors), TOY, 6)[0]
    confidence = np.array([0, 0, 1, 0, 1, 2]) * ALPHA
    left = factors.T @ np.diag(1 + confidence) @ factors + PENALTY * 3 * np.eye(32)
    right = factors.T @ ((1 + confidence) * (confidence > 0))
    assert made == np.argsort(-(factors @ np.linalg.solve(left, right)), kind="stable").tolist()


def test_the_id_transformer_learns_what_follows() -> None:
    # each user walks along a ring of twelve items from another start
    steps = [(user, (user + step) % 12, 30 - step) for user in range(60) for step in range(8)]
    past = past_of(*steps, users=60)
    made = lists(IdTransformer(Baselines(transformer_epochs=60)), past, 1, 12)
    hits = sum(made[user][0] == (user + 8) % 12 for user in range(60))
    assert hits >= 50


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 5), st.integers(-5, 99)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(events)
def test_own_repeats_equal_the_brute_force_scores(rows: list[tuple[int, int, int]]) -> None:
    for user, shown in enumerate(lists(OwnRepeats(RULES), past_of(*rows), 6)):
        score: dict[int, float] = {}
        for _, item, age in (row for row in rows if row[0] == user and row[1] >= 0 and row[2] > 0):
            score[item] = score.get(item, 0.0) + 0.5 ** (age / 90)
        assert [score[item] for item in shown[: len(score)]] == pytest.approx(sorted(score.values(), reverse=True))
        real = [item for item in shown if item >= 0]
        assert len(set(real)) == len(real)
