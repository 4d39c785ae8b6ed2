"""Baselines on literal histories with ties, duplicates and a user without events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settings import Baselines, Cooccurrence
from models import baselines, cooccurrence
from tests.factories import NOW, known_of, past_of

TOY = past_of((0, 5, 1), (0, 5, 2), (0, 2, 1), (0, 4, 30), (1, 2, 3), (1, -1, 1), (1, 4, 2), (0, 1, -1))


def test_popular_counts_events_of_the_last_days_ties_by_item() -> None:
    assert baselines.popular_items(TOY, NOW, 9).tolist() == [2, 5, 4]
    assert baselines.popular(TOY, NOW, 4).tolist() == [[2, 5, 4, -1]] * 3


def test_own_repeats_come_first_then_popular_without_duplicates() -> None:
    assert baselines.own_repeats(TOY, NOW, 4).tolist() == [[5, 2, 4, -1], [4, 2, 5, -1], [2, 5, 4, -1]]


def test_own_repeats_decay_by_the_half_life() -> None:
    twice_long_ago = past_of((0, 1, 60), (0, 1, 60), (0, 2, 1))
    assert baselines.own_repeats(twice_long_ago, NOW, 2, Baselines(repeat_half_life_days=30))[0].tolist() == [2, 1]
    assert baselines.own_repeats(twice_long_ago, NOW, 2, Baselines(repeat_half_life_days=300))[0].tolist() == [1, 2]


def test_item_knn_follows_what_others_took_together() -> None:
    past = past_of((0, 1, 9), (0, 2, 9), (1, 1, 8), (1, 2, 8), (2, 1, 1))
    counted = Cooccurrence(min_weight=0.1)
    neighbours = cooccurrence.neighbours_of(known_of(past), 4, counted)
    assert baselines.item_knn(known_of(past), neighbours, 2, counted)[2].tolist() == [2, 1]


def test_nothing_at_all_gives_only_padding() -> None:
    empty = TOY.between(0, 0)
    assert (baselines.own_repeats(empty, NOW, 3) == -1).all()
    assert (baselines.popular(empty, NOW, 3) == -1).all()


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 5), st.integers(-5, 99)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(events)
def test_own_repeats_equal_the_brute_force_scores(rows: list[tuple[int, int, int]]) -> None:
    lists = baselines.own_repeats(past_of(*rows), NOW, 6)
    for user, shown in enumerate(lists.tolist()):
        score: dict[int, float] = {}
        for _, item, age in (row for row in rows if row[0] == user and row[1] >= 0 and row[2] > 0):
            score[item] = score.get(item, 0.0) + 0.5 ** (age / 90)
        assert [score[item] for item in shown[: len(score)]] == pytest.approx(sorted(score.values(), reverse=True))
        real = [item for item in shown if item >= 0]
        assert len(set(real)) == len(real)
