"""Which lists of the last night are carried over, and that a night with them is scored, audited and published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import functions as F

from contracts import lake
from contracts.interval import Interval
from contracts.settings import Scoring, Settings
from contracts.tables import EVENTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from spark_jobs.scoring.carried import RULES, carried, has_turn
from tests.factories import NIGHT, event, fallback_row, item, noon, publication, ranked, recommended
from tests.lakes import SparkLake

LAST = NIGHT - timedelta(days=1)
LONG_AGO = NIGHT - timedelta(days=90)
IDLE = {"n": 2, "idle_days": 30, "idle_nights": 1000}
"""A turn so rare that nobody of a test has it."""


def ruled(settings: Settings, **rules: Any) -> Settings:
    return settings.model_copy(update={"scoring": Scoring(**IDLE | rules)})


def listed(user: str, *items: str, scored: date | None = None, **changes: Any) -> dict[str, Any]:
    made = recommended(user, ranked(*((each, 1.0, "popular", None) for each in items)), ds=LAST, **changes)
    return made | {"scored_ds": scored}


@pytest.fixture
def shop(tables: SparkLake) -> SparkLake:
    """A published night with the lists of users who did something long ago."""
    made = SparkLake(ruled(tables.settings), tables.spark)
    made.write(ITEMS, [item("jam", category="food"), item("milk", category="food"), item("sold", available=False)])
    made.write(EVENTS, [event(user, "jam", noon(LONG_AGO)) for user in ("ann", "bob")])
    publish(made, listed("ann", "jam", "milk"), listed("bob", "milk", "jam"))
    made.write(PUBLICATIONS, [publication(LAST)])
    return made


def publish(shop: SparkLake, *rows: Mapping[str, Any], rules: Scoring | None = None) -> None:
    note = {"ds": LAST, RULES: (rules or shop.settings.scoring).rules_hash}
    shop.write(RECOMMENDATIONS, [*(dict(row) for row in rows), fallback_row("jam", ds=LAST)], note=note)


def kept(shop: SparkLake, settings: Settings | None = None, model: str = "m1") -> dict[str, date]:
    """The users whose lists are carried, and the night that scored them."""
    ruled_by = settings or shop.settings
    events = lake.read(shop.spark, ruled_by, EVENTS)
    found = carried(shop.spark, ruled_by, events, Interval.of_night(NIGHT), model)
    return {row.user_id: row.scored_ds for row in found.collect()} if found is not None else {}


def test_lists_of_who_does_nothing_are_carried_with_the_night_that_scored_them(shop: SparkLake) -> None:
    before = LAST - timedelta(days=3)
    publish(shop, listed("ann", "jam", "milk"), listed("bob", "milk", "jam", scored=before))
    assert kept(shop) == {"ann": LAST, "bob": before}


def test_without_the_setting_nothing_is(shop: SparkLake) -> None:
    assert kept(shop, ruled(shop.settings, idle_days=None)) == {}


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(event("bob", "milk", noon(NIGHT - timedelta(days=5))), id="something in the last days"),
        # the list could not know it: it was scored before that log came
        pytest.param(event("bob", "milk", noon(LONG_AGO), ds=NIGHT - timedelta(days=2)), id="a late log"),
    ],
)
def test_who_did_something_is_scored(shop: SparkLake, came: dict[str, Any]) -> None:
    shop.write(EVENTS, [*(event(user, "jam", noon(LONG_AGO)) for user in ("ann", "bob")), came])
    assert kept(shop) == {"ann": LAST}


def test_a_list_that_was_scored_before_the_users_last_log_is_scored_again(shop: SparkLake) -> None:
    publish(shop, listed("ann", "jam", "milk", scored=LONG_AGO - timedelta(days=1)), listed("bob", "jam", "milk"))
    assert kept(shop) == {"bob": LAST}


@pytest.mark.parametrize(
    ("rules", "model"),
    [({}, "m2"), ({"n": 3}, "m1"), ({"blocked_items": ("ham",)}, "m1"), ({"explore": 0.5}, "m1")],
)
def test_another_model_and_other_rules_score_everyone(shop: SparkLake, rules: dict[str, Any], model: str) -> None:
    assert kept(shop, ruled(shop.settings, **rules), model) == {}


def test_a_night_without_a_published_one_before_it_scores_everyone(shop: SparkLake) -> None:
    shop.write(PUBLICATIONS, [publication(NIGHT), publication(LAST, status="held")])
    assert kept(shop) == {}


def test_a_list_with_what_may_not_be_shown_any_more_is_scored_again(shop: SparkLake) -> None:
    publish(shop, listed("ann", "jam", "sold"), listed("bob", "jam", "gone"), listed("cat", "jam"))
    shop.write(EVENTS, [event(user, "jam", noon(LONG_AGO)) for user in ("ann", "bob", "cat")])
    assert kept(shop) == {}


def test_a_category_that_is_blocked_or_full_now_is_seen(shop: SparkLake) -> None:
    for rules in ({"blocked_categories": ("food",)}, {"max_per_category": 1}):
        settings = ruled(shop.settings, **rules)
        publish(shop, listed("ann", "jam", "milk"), rules=settings.scoring)
        assert kept(shop, settings) == {}
    # an item that has moved to another category makes room
    shop.write(ITEMS, [item("jam", category="food"), item("milk", category="drinks")])
    assert kept(shop, settings) == {"ann": LAST}


def test_what_the_user_must_not_get_is_seen(shop: SparkLake) -> None:
    settings = ruled(shop.settings, exclude_seen_days={"purchase": 365})
    publish(shop, listed("ann", "jam", "milk"), listed("bob", "milk", "tea"), rules=settings.scoring)
    shop.write(ITEMS, [item(each) for each in ("jam", "milk", "tea")])
    assert kept(shop, settings) == {"bob": LAST}


def test_everyone_has_a_turn_once_in_so_many_nights(shop: SparkLake) -> None:
    users = shop.spark.range(700).select(F.col("id").cast("string").alias("user_id"))
    nights = [{row.user_id for row in users.where(has_turn(NIGHT + timedelta(days=n), 7)).collect()} for n in range(7)]
    assert sum(map(len, nights)) == len(set.union(*nights)) == 700
    assert max(map(len, nights)) < 2 * min(map(len, nights))


def test_a_list_is_at_most_so_many_nights_old(shop: SparkLake) -> None:
    weekly = ruled(shop.settings, idle_nights=7)
    old = [NIGHT - timedelta(days=days) for days in (6, 7)]
    publish(shop, *(listed(user, "jam", "milk", scored=ds) for user, ds in zip(("ann", "bob"), old, strict=True)))
    assert kept(shop, weekly).keys() <= {"ann"}
