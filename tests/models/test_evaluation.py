"""Metrics by segment on literal users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.behaviours import Behaviours, Known
from models.evaluation import ALL, GATE, NEW, REPEATED, TextAlone, Yardstick, gains, measured, segments
from models.excluded import Excluded
from models.item_state import DailyCounts
from models.metrics import Relevant
from tests.factories import NOW, SHOP_ITEMS, known_of, past_of, shop_catalogue

VIEWS = Behaviours(("purchase", "view"), (1.0, 0.1), (0,), (1,))
PAST = past_of((0, 1, 3), (0, 1, 2), (1, 2, 5), (2, 3, 1))
KNOWN = known_of(PAST)
# user 0 takes what they had, and something new; user 1 something new; user 2 what they had
RELEVANT = Relevant(np.array([0, 2, 3, 4]), np.array([1, 5, 5, 3], dtype=np.int32))
YARDSTICK = Yardstick.of(
    shop_catalogue(), DailyCounts.of(KNOWN), np.bincount(PAST.items, minlength=SHOP_ITEMS).astype(np.float32), 1.5
)
PARTS = segments(KNOWN, RELEVANT, YARDSTICK)


def test_segments_divide_what_is_relevant() -> None:
    lists = np.full((3, 20), -1, dtype=np.int32)
    lists[:, 0], lists[:, 1] = (1, 5, 3), (5, 1, 0)
    values = measured(lists, KNOWN, PARTS, YARDSTICK)
    assert values[ALL, "recall@10"].tolist() == [1, 1, 1]
    np.testing.assert_allclose(values[NEW, "ndcg@10"], [1 / np.log2(3), 1, np.nan])
    np.testing.assert_allclose(values[REPEATED, "ndcg@10"], [1, np.nan, 1])
    np.testing.assert_allclose(values["users: long history", "recall@10"], [1, np.nan, np.nan])
    np.testing.assert_allclose(values["items: head", "recall@10"], [1, np.nan, np.nan])
    np.testing.assert_allclose(values["items: few users", "recall@10"], [1, 1, 1])
    np.testing.assert_allclose(values[ALL, "new_share@10"], [0.5, 1, 0.5])


def test_a_user_who_only_views_is_in_a_segment_of_their_own() -> None:
    behaviours = PAST.behaviours.copy()
    behaviours[PAST.users == 1] = 1
    viewed = Known(replace(PAST, behaviours=behaviours), VIEWS, NOW)
    lists = np.full((3, 20), 5, dtype=np.int32)
    found = measured(lists, viewed, segments(viewed, RELEVANT, YARDSTICK), YARDSTICK)[
        "users: without a target event", "recall@10"
    ]
    np.testing.assert_allclose(found, [np.nan, 1, np.nan])


def test_gains_are_of_the_same_users() -> None:
    hit, miss = np.full((3, 20), 5, dtype=np.int32), np.full((3, 20), 9, dtype=np.int32)
    over = gains(measured(hit, KNOWN, PARTS, YARDSTICK), measured(miss, KNOWN, PARTS, YARDSTICK))
    np.testing.assert_allclose(over[ALL] > 0, [True, True, False])
    assert set(over) == {segment for segment, name in measured(hit, KNOWN, PARTS, YARDSTICK) if name == GATE}


def test_texts_alone_recommend_what_is_like_the_newest() -> None:
    vectors = np.eye(SHOP_ITEMS, dtype=np.float32)
    vectors[4] = vectors[1] * 0.9 + vectors[4] * 0.1
    takes_part = np.ones(SHOP_ITEMS, dtype=np.bool_)
    takes_part[11] = False
    lists = TextAlone.of("text", vectors, takes_part).lists(KNOWN, Excluded.nothing(3))
    assert lists.shape == (3, 20)
    assert lists[0, :2].tolist() == [1, 4]
    assert (lists != 11).all()


def test_texts_alone_pass_over_what_is_excluded_and_go_on_below_it() -> None:
    alone = TextAlone.of("text", np.eye(SHOP_ITEMS, dtype=np.float32), np.ones(SHOP_ITEMS, dtype=np.bool_))
    plain = alone.lists(KNOWN, Excluded.nothing(3))
    shown = alone.lists(KNOWN, Excluded(np.array([0, 2, 2, 2]), np.sort(plain[0, :2])))
    assert shown[0, :5].tolist() == plain[0, 2:7].tolist()
    np.testing.assert_array_equal(shown[1:], plain[1:])
