"""`nightshift diff`: by how much lists changed, and which items won and lost."""

from __future__ import annotations

from datetime import date

import pytest

from contracts.tables import ITEMS, PUBLICATIONS, RECOMMENDATIONS
from nightshift.lookups.compare import overlap_weights
from tests.commands import answer, command, told
from tests.factories import NIGHT, fallback_row, item, publication, ranked, recommended
from tests.lakes import ArrowLake

BEFORE = date(2017, 12, 22)


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(ITEMS, [item("1", title="Milk"), item("2", title="Tea"), item("3"), item("4")])
    milk, tea = ("1", 2.0, "repeat", "1"), ("2", 1.0, "popular", None)
    three, four = ("3", 2.0, "match", "1"), ("4", 1.0, "repeat", "4")
    arrow_lake.write(
        RECOMMENDATIONS,
        [
            recommended("ann", ranked(milk, tea), ds=BEFORE),
            recommended("bob", ranked(milk, tea), ds=BEFORE),
            recommended("cleo", ranked(milk, tea), ds=BEFORE),
            recommended("dan", ranked(milk, tea), ds=BEFORE),
            recommended("eve", ranked(milk, tea), ds=BEFORE),
            recommended("fay", ranked(milk, tea)),
            recommended("dan", ranked(three, four)),
            recommended("cleo", ranked(milk, three)),
            recommended("bob", ranked(tea, milk)),
            recommended("ann", ranked(milk, tea)),
            # nobody's list
            fallback_row("1", "2", ds=BEFORE),
            fallback_row("3", "4"),
        ],
    )
    arrow_lake.write(PUBLICATIONS, [publication(BEFORE), publication(NIGHT, model_id="m2", content_hash="beef")])
    return arrow_lake


def test_rank_biased_overlap_is_that_of_webber() -> None:
    same, swapped = overlap_weights(2).sum(), 2 * overlap_weights(2)[1]
    assert (same, swapped) == pytest.approx((1.0, 0.9))  # by hand: 0.81 + 0.1 / 0.9 · (0.9 + 0.81); + 0.1 / 0.9 · 0.81
    assert overlap_weights(20).sum() == pytest.approx(1.0)


def test_two_nights_next_to_each_other(shop: ArrowLake) -> None:
    made = answer(shop.settings, "diff", "2017-12-22", "2017-12-23", "--ids")
    assert [made[name] for name in ("users_in_both", "users_only_before", "users_only_after")] == [4, 1, 1]
    assert (made["same_content"], made["same_model"], made["unchanged_lists"]) == (False, False, 1)
    assert made["new_share"] == pytest.approx((0 + 0 + 0.5 + 1) / 4)
    # first of two the same: 0.9 · 0.1 / 0.9 + (0.81 + 0.09) / 2
    assert made["rank_biased_overlap"] == pytest.approx((1 + 0.9 + 0.55 + 0) / 4)
    assert made["before"]["sources"] == {
        "repeat": 0.5, "interest": 0, "together": 0, "match": 0, "text": 0, "popular": 0.5, "fallback": 0,
    }  # fmt: skip
    assert made["after"]["sources"] == {
        "repeat": 0.5,
        "interest": 0,
        "together": 0,
        "match": 0.2,
        "text": 0,
        "popular": pytest.approx(0.3),
        "fallback": 0,
    }
    assert [(each["item_id"], each["before"], each["after"]) for each in made["gained"]] == [("3", 0, 2), ("4", 0, 1)]
    assert [(each["title"], each["before"], each["after"]) for each in made["lost"]] == [("Tea", 5, 3), ("Milk", 5, 4)]
    assert [each["user"] for each in made["most_changed"]] == ["dan", "cleo", "bob"]


def test_users_have_pseudonyms_unless_ids_are_asked_for(shop: ArrowLake) -> None:
    shown = told(shop.settings, "diff", "2017-12-22", "2017-12-23")
    assert "4 users in both, 1 only in 2017-12-22, 1 only in 2017-12-23; 1 lists unchanged." in shown
    assert "dan" not in shown
    assert "user " in shown.partition("Users whose lists changed the most")[2]


def test_the_same_night_is_the_same(shop: ArrowLake) -> None:
    made = answer(shop.settings, "diff", "2017-12-23", "2017-12-23")
    assert (made["same_content"], made["rank_biased_overlap"], made["new_share"]) == (True, pytest.approx(1), 0)
    assert (made["gained"], made["lost"], made["most_changed"]) == ([], [], [])


def test_nights_without_a_common_user_have_no_means(shop: ArrowLake) -> None:
    items = ranked(("1", 1.0, "repeat", "1"))
    shop.write(RECOMMENDATIONS, [recommended("ann", items, ds=BEFORE), recommended("bob", items)])
    made = answer(shop.settings, "diff", "2017-12-22", "2017-12-23")
    assert (made["users_in_both"], made["new_share"], made["rank_biased_overlap"]) == (0, None, None)
    assert "0 users in both" in told(shop.settings, "diff", "2017-12-22", "2017-12-23")


def test_a_night_that_was_not_published_is_named(shop: ArrowLake) -> None:
    made = command(shop.settings, "diff", "2017-12-23", "2017-12-24")
    assert made.exit_code == 65
    assert "The night 2017-12-24 was not published. Published nights: 2017-12-23, 2017-12-22." in made.stderr
