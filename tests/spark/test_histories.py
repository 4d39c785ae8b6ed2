"""What the night reads of everyone's events: histories that are cut, and exclusions that are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts.interval import midnight_seconds
from contracts.settings import Scoring, Settings, Shop, Splits
from contracts.tables import EVENTS
from models.histories import DAY
from spark_jobs.quality import lists
from spark_jobs.scoring.histories import daily_counts, histories
from spark_jobs.scoring.sequences import shop_seconds
from tests.factories import event, noon
from tests.lakes import SparkLake

END = date(2017, 12, 24)


def ago(days: float) -> datetime:
    """A moment before the night's end."""
    return datetime(END.year, END.month, END.day, tzinfo=UTC) - timedelta(days=days)


ROWS = [
    event("ann", "milk", ago(400)), event("ann", "jam", ago(300)), event("ann", "jam", ago(300.5)),
    event("ann", "ham", ago(200), "view"), event("ann", "tea", ago(2)), event("ann", "ham", ago(1)),
    event("ann", "soap", ago(0)),  # after the night
    event("ann", "soap", ago(1), ds=END),  # a log of the next day brings it
    event("bob", "milk", ago(365)), event("bob", "tea", ago(365.01)), event("bob", "ham", ago(1), "view"),
    event("cleo", "jam", ago(3), "view"),
]  # fmt: skip


def with_rules(settings: Settings, rules: dict[str, int], zone: str = "UTC") -> Settings:
    scoring, splits = Scoring(exclude_seen_days=rules), Splits(max_history=2)
    return settings.model_copy(update={"scoring": scoring, "splits": splits, "shop": Shop(time_zone=zone)})


def by_user(tables: SparkLake, rules: dict[str, int], rows: list[dict[str, Any]] = ROWS) -> dict[str, tuple[Any, Any]]:
    """Of each user the items of the history of two events, and those excluded."""
    made = histories(tables.frame(EVENTS, rows), END, with_rules(tables.settings, rules))
    return {row.user_id: (row.item_ids, row.excluded) for row in made.collect()}


def test_exclusions_see_what_a_long_history_has_lost(tables: SparkLake) -> None:
    everything = by_user(tables, {"purchase": 3650})
    assert everything == {
        "ann": (["tea", "ham"], ["ham", "jam", "milk", "tea"]),
        "bob": (["milk", "ham"], ["milk", "tea"]),
        "cleo": (["jam"], []),
    }
    assert by_user(tables, {"purchase": 3650}, ROWS[::-1]) == everything
    year = by_user(tables, {"purchase": 365, "view": 3})
    assert {user: excluded for user, (_, excluded) in year.items()} == {
        "ann": ["ham", "jam", "tea"], "bob": ["ham", "milk"], "cleo": ["jam"],
    }  # fmt: skip


def test_the_audit_excludes_the_same(tables: SparkLake) -> None:
    rules = {"purchase": 365, "view": 3}
    past = lists.histories(tables.frame(EVENTS, ROWS), END, with_rules(tables.settings, rules))
    audited = {row.user_id: row.excluded for row in past.collect()}
    assert audited == {user: excluded for user, (_, excluded) in by_user(tables, rules).items()}


def test_without_a_rule_nothing_is_excluded_and_histories_are_the_same(tables: SparkLake) -> None:
    assert by_user(tables, {}) == {
        user: (items, []) for user, (items, _) in by_user(tables, {"purchase": 3650}).items()
    }  # fmt: skip
    assert by_user(tables, {}, [event("dan", "tea", noon(END - timedelta(days=1)))]) == {"dan": (["tea"], [])}


@pytest.mark.parametrize(("zone", "end"), [("Asia/Tokyo", END), ("Europe/Berlin", date(2017, 10, 30))])
def test_days_begin_at_the_shops_midnight(tables: SparkLake, zone: str, end: date) -> None:
    """In Berlin the last day has 25 hours: on the shop's clock it is one like all others."""
    last, first = end - timedelta(days=1), end - timedelta(days=2)

    def at(day: date, hour: int, minute: int) -> datetime:
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    rows = [
        event("ann", "late on the first", at(first, 23, 30), ds=first),
        event("ann", "early on the last", at(last, 0, 30), ds=last),
        event("bob", "late on the last", at(last, 23, 30), ds=last),
        # a log that claims to be of the day before
        event("bob", "after the end", at(end, 0, 30), ds=last),
        event("bob", "after the end", at(end, 0, 40), ds=end),
    ]
    settings, frame = with_rules(tables.settings, {"purchase": 1}, zone), tables.frame(EVENTS, rows)
    midnight, half = midnight_seconds(last), 1800
    assert {
        row.user_id: (row.item_ids, row.times, row.excluded) for row in histories(frame, end, settings).collect()
    } == {
        "ann": (["late on the first", "early on the last"], [midnight - half, midnight + half], ["early on the last"]),
        "bob": (["late on the last"], [midnight_seconds(end) - half], ["late on the last"]),
    }
    day = midnight // DAY
    assert {(row.item_id, row.day, row.events) for row in daily_counts(frame, end, settings).collect()} == {
        ("late on the first", day - 1, 1), ("early on the last", day, 1), ("late on the last", day, 1),
    }  # fmt: skip
    past = {row.user_id: set(row.seen) for row in lists.histories(frame, end, settings).collect()}
    assert past == {"ann": {"late on the first", "early on the last"}, "bob": {"late on the last"}}


@pytest.mark.usefixtures("spark")
def test_a_shop_in_utc_pays_nothing_for_time_zones() -> None:
    assert str(shop_seconds(ZoneInfo("UTC"))) == "Column<'unix_seconds(event_time)'>"
    assert "from_utc_timestamp" in str(shop_seconds(ZoneInfo("Asia/Tokyo")))
