"""Hindsight on a shop whose right answers can be counted by hand."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, date, timedelta

import numpy as np
import pytest

from contracts import lake
from contracts.errors import InputError
from contracts.interval import midnight, midnight_seconds
from contracts.settings import Baselines, Shop
from contracts.tables import EVENTS, HINDSIGHT_RESULTS, INGEST_COUNTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from models.baselines.own_repeats import OwnRepeats
from models.baselines.popular import Popular
from models.behaviours import Behaviours, Known
from models.excluded import Excluded
from models.histories import Histories
from spark_jobs import hindsight as command
from spark_jobs.reporting import hindsight, hindsight_table
from spark_jobs.reporting.hindsight import FROM_EVENTS, FROM_LANDING, LISTS, Hindsight
from spark_jobs.reporting.hindsight_text import text
from tests.factories import counted, event, fallback_row, item, noon, publication, ranked, recommended
from tests.lakes import ArrowLake

NIGHT = date(2017, 12, 10)
AFTER = [NIGHT + timedelta(days=n) for n in range(1, 8)]
_, REPEATS, POPULAR = hindsight.recommenders(Baselines())


def listed(user: str, *items: str) -> dict[str, object]:
    return recommended(user, ranked(*((item, 1.0, "match", None) for item in items)), ds=NIGHT)


PAST = [
    event("ann", "milk", noon(date(2017, 9, 1))),
    event("ann", "tea", noon(date(2017, 12, 1))),
    # not listed, and the only one in the last 7 days: decides what is popular
    event("zoe", "jam", noon(date(2017, 12, 9))),
    # known only later, so it made neither list nor baseline
    event("ann", "ham", noon(NIGHT), ds=date(2017, 12, 11)),
]
FUTURE = [
    event("ann", "milk", midnight(date(2017, 12, 11), UTC)),
    event("ann", "milk", noon(date(2017, 12, 12))),
    event("ann", "ham", midnight(date(2017, 12, 17), UTC) + timedelta(hours=23)),
    # a day later than the window, another behaviour, and a user without a list
    event("ann", "jam", midnight(date(2017, 12, 18), UTC)),
    event("bob", "tea", noon(date(2017, 12, 11)), "view"),
    event("zoe", "jam", noon(date(2017, 12, 11))),
]


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(ITEMS, [item(each) for each in ("jam", "tea", "ham", "milk")])
    arrow_lake.write(EVENTS, [*FUTURE, *PAST])
    arrow_lake.write(INGEST_COUNTS, [counted(day, 1) for day in [NIGHT, *AFTER]])
    arrow_lake.write(
        RECOMMENDATIONS, [listed("bob", "jam"), listed("ann", "jam", "milk"), fallback_row("ham", ds=NIGHT)]
    )
    arrow_lake.write(PUBLICATIONS, [publication(NIGHT)])
    return arrow_lake


def judged(shop: ArrowLake, source: str = FROM_EVENTS) -> Hindsight:
    lists = hindsight.published_lists(shop.settings, NIGHT)
    return hindsight.judge(shop.settings, lists, hindsight.ingested_targets(shop.settings, lists), source)


def remembered(shop: ArrowLake, content_hash: str = "c0ffee") -> Hindsight:
    return hindsight_table.remembered(shop.settings, NIGHT, content_hash)


def test_lists_and_baselines_are_judged_by_the_target_events_after_the_night(shop: ArrowLake) -> None:
    result = judged(shop)
    # only ann has target events in the window: milk and ham
    assert (result.model_id, result.users_with_list, result.users) == ("m1", 2, 1)
    ideal = 1 + 1 / math.log2(3)
    assert {name: metrics["ndcg@10"].mean for name, metrics in result.values.items()} == {
        LISTS: pytest.approx(1 / math.log2(3) / ideal),  # jam, milk
        REPEATS: pytest.approx(1 / math.log2(3) / ideal),  # tea, milk, then popular jam
        POPULAR: pytest.approx(1 / math.log2(3) / ideal),  # jam, then milk, of all time
    }
    assert result.values[LISTS]["recall@10"].mean == 0.5
    assert result.values[LISTS]["hit_rate@10"].mean == 1.0
    assert result.gains[REPEATS]["ndcg@10"].mean == 0.0
    assert result.gains[POPULAR]["recall@10"].mean == 0.0


def test_a_late_event_counts_on_the_day_it_happened(shop: ArrowLake) -> None:
    shop.write(EVENTS, [*PAST, event("bob", "jam", noon(AFTER[-1]), ds=AFTER[-1] + timedelta(days=2))])
    assert judged(shop).values[LISTS]["recall@10"].mean == 1.0


def test_the_window_begins_and_ends_at_the_shops_midnight(shop: ArrowLake) -> None:
    tokyo = replace(shop, settings=shop.settings.model_copy(update={"shop": Shop(time_zone="Asia/Tokyo")}))
    zone = tokyo.settings.shop.zone
    first, last = midnight(AFTER[0], zone), midnight(AFTER[-1] + timedelta(days=1), zone)
    half = timedelta(minutes=30)
    shop.write(EVENTS, [
        *PAST, event("bob", "jam", last - half, ds=AFTER[-1]), event("ann", "jam", last + half, ds=AFTER[-1]),
        event("bob", "tea", first + half, ds=AFTER[0]), event("bob", "ham", first - half, ds=AFTER[0]),
    ])  # fmt: skip
    result = judged(tokyo)
    # bob: jam of jam and tea
    assert (result.users, result.values[LISTS]["recall@10"].mean) == (1, 0.5)
    # what zoe took on the 9th in UTC was on the 10th in Tokyo, and is popular there for a day
    shop.write(
        EVENTS,
        [event("zoe", "tea", midnight(NIGHT, zone) + half, ds=NIGHT), event("bob", "tea", first + half, ds=AFTER[0])],
    )
    day = replace(tokyo, settings=tokyo.settings.model_copy(update={"baselines": Baselines(popular_days=1)}))
    assert judged(day).values["baseline/popular_1_days"]["recall@10"].mean == 1.0


def test_the_order_of_the_catalogue_does_not_decide_between_equals(shop: ArrowLake) -> None:
    # jam and ham are equally popular
    shop.write(EVENTS, [*FUTURE, *PAST, event("zoe", "ham", noon(date(2017, 12, 9)))])
    result = judged(shop)
    shop.write(ITEMS, [item(each) for each in ("milk", "ham", "tea", "jam")])
    assert judged(shop) == result


def test_popular_items_are_those_of_as_many_days_as_the_settings_say(shop: ArrowLake) -> None:
    shop.write(EVENTS, [*FUTURE, *PAST, event("zoe", "milk", noon(date(2017, 11, 20)))])
    rules = Baselines(popular_days=30)
    month = replace(shop, settings=shop.settings.model_copy(update={"baselines": rules}))
    result = judged(month)
    assert list(result.values) == [LISTS, REPEATS, "baseline/popular_30_days"]
    assert result.values["baseline/popular_30_days"]["recall@10"].mean == 0.5
    assert "popular in the last 30 days" in text(result, rules)


def test_what_was_judged_is_written_once_and_read_back_the_same(shop: ArrowLake) -> None:
    first = remembered(shop)
    rows = lake.rows(shop.settings, HINDSIGHT_RESULTS)
    assert len(rows) == 9
    assert {(row["users"], row["users_with_list"], row["content_hash"], row["source"]) for row in rows} == {
        (1, 2, "c0ffee", "events")
    }
    assert {row["recommender"] for row in rows if row["gain"] is None} == {LISTS}
    assert first == judged(shop)
    assert remembered(shop) == first
    assert lake.rows(shop.settings, HINDSIGHT_RESULTS) == rows
    assert lake.version(shop.settings, HINDSIGHT_RESULTS) == 0


def test_a_night_that_nobody_used_has_rows_without_values(shop: ArrowLake) -> None:
    shop.write(EVENTS, PAST)
    assert remembered(shop).users == 0
    assert {row["value"] for row in lake.rows(shop.settings, HINDSIGHT_RESULTS)} == {None}
    assert remembered(shop).users == 0
    assert lake.version(shop.settings, HINDSIGHT_RESULTS) == 0


def test_other_lists_are_judged_again_and_other_nights_stay(shop: ArrowLake) -> None:
    first = remembered(shop)
    other = replace(first, ds=date(2017, 12, 1))
    hindsight_table.write(shop.settings, other, "hash of another night")
    shop.write(RECOMMENDATIONS, [listed("ann", "milk", "ham")])
    assert remembered(shop) == first
    assert remembered(shop, "other lists").values[LISTS]["recall@10"].mean == 1.0
    assert hindsight_table.kept(shop.settings, NIGHT, "c0ffee") is None
    assert hindsight_table.kept(shop.settings, other.ds, "hash of another night") == other


def test_other_rules_are_judged_again(shop: ArrowLake) -> None:
    remembered(shop)
    month = shop.settings.model_copy(update={"baselines": Baselines(popular_days=30)})
    assert hindsight_table.kept(month, NIGHT, "c0ffee") is None
    assert "baseline/popular_30_days" in hindsight_table.remembered(month, NIGHT, "c0ffee").values


def test_a_result_of_log_files_stays_until_the_days_are_ingested(shop: ArrowLake) -> None:
    landed = replace(judged(shop, FROM_LANDING), users_with_list=77)
    hindsight_table.write(shop.settings, landed, "c0ffee")
    shop.write(INGEST_COUNTS, [counted(NIGHT, 1)])
    assert remembered(shop) == landed
    with pytest.raises(InputError, match="add --landing"):
        remembered(shop, "other lists")
    shop.write(INGEST_COUNTS, [counted(day, 1) for day in [NIGHT, *AFTER]])
    assert remembered(shop) == judged(shop)
    assert {row["source"] for row in lake.rows(shop.settings, HINDSIGHT_RESULTS)} == {"events"}


def test_a_night_without_lists_a_publication_or_logs_is_named(shop: ArrowLake) -> None:
    shop.write(INGEST_COUNTS, [counted(NIGHT, 1)])
    with pytest.raises(InputError, match="No log has arrived for 2017-12-11 to 2017-12-17"):
        command.run(shop.settings, command.Arguments(ds=NIGHT, landing=True))
    shop.write(RECOMMENDATIONS, [])
    with pytest.raises(InputError, match="no lists of 2017-12-10"):
        judged(shop)
    shop.write(PUBLICATIONS, [publication(NIGHT, status="held")])
    with pytest.raises(InputError, match="2017-12-10 was not published"):
        command.run(shop.settings, command.Arguments(ds=NIGHT))


@pytest.mark.parametrize("landing", [False, True])
def test_the_command_needs_no_spark_for_what_is_ingested(
    shop: ArrowLake, capsys: pytest.CaptureFixture[str], *, landing: bool
) -> None:
    command.run(shop.settings, command.Arguments(ds=NIGHT, landing=landing))
    shown = capsys.readouterr().out
    assert shown == text(judged(shop), shop.settings.baselines) + "\n"
    assert lake.count(shop.settings, HINDSIGHT_RESULTS) == 9


def test_the_text_shows_every_recommender_with_its_gain(shop: ArrowLake) -> None:
    shown = text(judged(shop), shop.settings.baselines)
    assert "2017-12-11 to 2017-12-17" in shown
    assert "1 of 2 users" in shown
    assert "source: table events" in shown
    assert shown.count("popular in the last 7 days") == 4
    landed = text(judged(shop, FROM_LANDING), shop.settings.baselines, [date(2017, 12, 17)])
    assert "source: log files of 2017-12-11 to 2017-12-17, none for 2017-12-17\n" in landed


def test_popular_items_that_are_counted_are_those_that_a_baseline_learns_from_all_events(shop: ArrowLake) -> None:
    draw = random.Random(0)
    names = ("jam", "tea", "ham", "milk", "gone")  # the last one has left the catalogue
    days = [NIGHT - timedelta(days=draw.randrange(20)) for _ in range(60)]
    rows = [event(f"u{draw.randrange(8)}", draw.choice(names), noon(day)) for day in days]
    shop.write(EVENTS, rows)
    shop.write(RECOMMENDATIONS, [listed(f"u{n}", "jam") for n in range(8)])
    lists = hindsight.published_lists(shop.settings, NIGHT, max_users=3)
    now = AFTER[0]
    judged_users = lists.users.to_pylist()
    # as everything was read before: all of the judged users, and what is recent of the others, as one more user
    needed = [row for row in rows if row["user_id"] in judged_users or row["ds"] >= now - timedelta(days=7)]
    catalogue = lists.catalogue.to_pylist()
    user = [judged_users.index(row["user_id"]) if row["user_id"] in judged_users else 3 for row in needed]
    thing = [catalogue.index(row["item_id"]) if row["item_id"] in catalogue else -1 for row in needed]
    seconds = [int(row["event_time"].timestamp()) for row in needed]
    everyone = Histories.from_events(4, *map(np.array, (user, thing, [0] * len(needed), seconds)))
    known = Known.of(everyone, Behaviours(("target",), (1.0,), (0,)), midnight_seconds(now))
    popular, repeats = (kind(Baselines()).fit(known, 4) for kind in (Popular, OwnRepeats))
    nothing, users = Excluded.nothing(3), np.arange(3)

    past = everyone.take(users)
    counted = hindsight._popular(shop.settings, lists, past, now)
    assert counted.tolist() == popular.popular.tolist()
    made = hindsight.ranked_lists(lists, past, counted, now, Baselines())
    np.testing.assert_array_equal(made[POPULAR], popular.recommend(known.take(users), 10, nothing))
    np.testing.assert_array_equal(made[REPEATS], repeats.recommend(known.take(users), 10, nothing))


def test_of_a_large_shop_a_sample_is_judged(shop: ArrowLake) -> None:
    lists = hindsight.published_lists(shop.settings, NIGHT, max_users=1)
    assert (len(lists.users), len(lists.items), lists.users_with_list) == (1, 1, 2)
