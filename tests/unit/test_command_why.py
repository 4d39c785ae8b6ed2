"""`nightshift why`: each rule that keeps an item out is named, and what the tables cannot tell is said to be so."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from contracts.tables import EVENTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from tests.commands import answer, command, told
from tests.factories import NIGHT, event, fallback_row, item, noon, publication, ranked, recommended
from tests.lakes import ArrowLake

BEFORE, AFTER = date(2017, 12, 22), date(2017, 12, 24)
"""Of the night before, by an earlier version, there is no list for who has none."""


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(
        ITEMS,
        [
            item("1", title="Milk", category="DAIRY"),
            item("2", title="Tea", category="TEA"),
            item("3", title="Cream", category="DAIRY"),
            item("4", title="Rum", category="SPIRITS", available=False),
            item("5", title="Soap"),
            item("6", title="Brush"),
        ],
    )
    arrow_lake.write(
        EVENTS,
        [
            event("ann", "1", noon(date(2017, 12, 1))),
            event("ann", "1", noon(date(2017, 12, 20))),
            event("ann", "1", noon(date(2017, 12, 21)), "view"),
            event("ann", "5", noon(date(2017, 12, 17))),
            event("ann", "5", noon(AFTER)),
            event("ann", "3", noon(date(2017, 12, 16))),
            event("bob", "2", noon(date(2017, 12, 20))),
        ],
    )
    items = ranked(("1", 2.5, "repeat", "1"), ("2", 1.0, "together", "1"), ("6", 0.5, "popular", None))
    lists = [recommended("ann", items), recommended("ann", items, ds=BEFORE), fallback_row("2", "1")]
    arrow_lake.write(RECOMMENDATIONS, lists)
    arrow_lake.write(PUBLICATIONS, [publication(night, table_versions={"items": 0}) for night in (BEFORE, NIGHT)])
    return arrow_lake


def choose(shop: ArrowLake, scoring: str) -> None:
    (shop.settings.home / "nightshift.toml").write_text(f"[scoring]\n{scoring}\n")


def codes(shop: ArrowLake, wanted: str) -> list[str]:
    made = answer(shop.settings, "why", "ann", wanted)
    assert made["listed"] is None
    return [each["code"] for each in made["findings"]]


def test_an_item_of_the_list_has_its_place_and_its_reason(shop: ArrowLake) -> None:
    made = answer(shop.settings, "why", "ann", "2")
    assert (made["listed"]["rank"], made["list_length"], made["last_score"]) == (2, 3, 0.5)
    assert made["findings"] == [{"code": "listed", "text": "From together: goes with Milk, last 4 days ago."}]
    assert made["events_with_item"] == []
    times = [each["time"][:10] for each in made["events_with_because"]]
    assert times == ["2017-12-21", "2017-12-20", "2017-12-01"]
    shown = told(shop.settings, "why", "ann", "2")
    assert "In the list: rank 2 of 3, score 1.000." in shown
    assert "3 events with 1: Milk:" in shown


def test_a_repeat_counts_its_target_events(shop: ArrowLake) -> None:
    made = answer(shop.settings, "why", "ann", "1")
    assert made["findings"][0]["text"] == "From repeat: 2 ×, last 4 days ago."
    assert (len(made["events_with_item"]), made["events_with_because"]) == (3, [])


def test_what_alone_keeps_an_item_out(shop: ArrowLake) -> None:
    assert codes(shop, "unheard-of") == ["unknown_item"]
    assert codes(shop, "4") == ["not_available"]
    choose(shop, 'blocked_items = ["3"]\nblocked_categories = ["SPIRITS", "DAIRY"]')
    assert codes(shop, "4") == ["not_available", "blocked_category"]
    assert codes(shop, "3") == ["blocked_item", "blocked_category"]


def test_an_excluding_event_is_the_newest_within_the_days_that_the_night_knew(shop: ArrowLake) -> None:
    choose(shop, "exclude_seen_days = { purchase = 7, view = 1 }")
    (finding,) = answer(shop.settings, "why", "ann", "5")["findings"]
    assert finding["code"] == "excluded_by_exclude_seen_days"
    assert (
        "purchase of 2017-12-17 12:00 UTC lies within the 7 days of scoring.exclude_seen_days.purchase"
        in finding["text"]
    )
    # 2017-12-16 is the eighth day before the night's end
    assert codes(shop, "3") == ["outranked_or_no_candidate"]


def test_a_full_category_and_what_cannot_be_told(shop: ArrowLake) -> None:
    assert codes(shop, "3") == ["outranked_or_no_candidate"]
    choose(shop, "max_per_category = 1")
    (finding,) = answer(shop.settings, "why", "ann", "3")["findings"]
    assert finding["code"] == "category_full"
    assert "1 items of DAIRY" in finding["text"]
    assert codes(shop, "5") == ["category_full"]  # items without a category are one


def test_of_an_unknown_user_the_list_of_who_has_none_is_explained(shop: ArrowLake) -> None:
    made = answer(shop.settings, "why", "nobody", "2")
    assert (made["fallback"]["code"], made["listed"]["rank"], made["list_length"]) == ("no_event", 1, 2)
    assert made["findings"] == [{"code": "listed", "text": "From fallback: popular with everyone now."}]
    shown = told(shop.settings, "why", "nobody", "2")
    assert "No event of any day names a user 'nobody'." in shown
    assert [each["code"] for each in answer(shop.settings, "why", "nobody", "4")["findings"]] == ["not_available"]
    assert answer(shop.settings, "why", "ann", "2")["fallback"] is None


def test_the_catalogue_is_read_as_it_was_on_the_night(shop: ArrowLake) -> None:
    before = answer(shop.settings, "why", "ann", "1")
    later = item("1", title="Another name", ds=date(2017, 12, 24))
    shop.write(ITEMS, [*shop.rows(ITEMS), later])
    assert answer(shop.settings, "why", "ann", "1") == before


@pytest.mark.parametrize(("user", "ds"), [("nobody", "2017-12-22"), ("ann", "2017-12-24")])
def test_an_unknown_user_or_night_is_one_line(shop: ArrowLake, user: str, ds: str) -> None:
    made: Any = command(shop.settings, "why", user, "1", "--ds", ds)
    assert made.exit_code == 65
    assert made.stderr.endswith("Published nights: 2017-12-23, 2017-12-22.\n")
    assert made.stderr.count("\n") == 1
