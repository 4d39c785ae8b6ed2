"""Sequences know nothing of the window that they are tested on."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from contracts.cli import AsOf
from contracts.errors import InputError
from contracts.interval import midnight_seconds
from contracts.ratings import TargetEvents
from contracts.settings import Settings, Shop
from contracts.tables import EVENTS, SEQUENCES
from contracts.windows import Windows
from spark_jobs.build_splits import run, to_sequences
from tests import factories
from tests.lakes import SparkLake

END = date(2017, 12, 23)
WINDOWS = Windows(END, window_days=7, max_history=3, targets=TargetEvents(("purchase",)))
SPLITS = {
    "train": (WINDOWS.validation_start, WINDOWS.validation_start),
    "validation": (WINDOWS.validation_start, WINDOWS.test_start),
    "test": (WINDOWS.test_start, midnight_seconds(END)),
    "latest": (midnight_seconds(END), midnight_seconds(END)),
}
Event = tuple[str, str, str, int]  # user, item, behaviour, seconds


def event(user: str, item: str, day: str, behaviour: str = "purchase") -> Event:
    """An event at noon."""
    return user, item, behaviour, int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


def rows_of(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{n}", "user_id": user, "item_id": item, "behaviour": behaviour,
            "event_time": (when := datetime.fromtimestamp(seconds, UTC)), "ds": when.date(),
        }
        for n, (user, item, behaviour, seconds) in enumerate(events)
    ]  # fmt: skip


def sequences(spark: SparkSession, events: list[Event], windows: Windows = WINDOWS) -> list[tuple[Any, ...]]:
    """(split, user, items, behaviours, times, sessions, ratings, targets), ordered."""
    values = [tuple(row.get(name) for name in EVENTS.names) for row in rows_of(events)]
    made = spark.createDataFrame(values, EVENTS.ddl).transform(to_sequences, windows)
    assert tuple(made.columns) == SEQUENCES.names
    return sorted(tuple(row)[1:] for row in made.collect())


def test_histories_end_where_their_window_starts(spark: SparkSession) -> None:
    events = [
        event("ann", "old", "2017-11-01"), event("ann", "b", "2017-12-08"), event("ann", "a", "2017-12-08"),
        event("ann", "a", "2017-12-08", "view"),  # ties in time: by item, then by behaviour
        event("ann", "c", "2017-12-09"), event("ann", "c", "2017-12-15"), event("ann", "d", "2017-12-15", "view"),
        event("ann", "z", "2017-12-16"), event("ann", "y", "2017-12-22"), event("ann", "z", "2017-12-22"),
        event("ann", "later", "2017-12-23"),
        event("bob", "b", "2017-12-01"),  # without targets
        event("cleo", "c", "2017-12-20"),  # without a history
        event("dan", "d", "2017-12-20", "view"),  # with neither: in the latest split alone
    ]  # fmt: skip
    got = sequences(spark, events)
    assert [(split, user, items, targets) for split, user, items, _, _, _, _, targets in got] == [
        ("latest", "ann", ["z", "y", "z"], []),
        ("latest", "bob", ["b"], []),
        ("latest", "cleo", ["c"], []),
        ("latest", "dan", ["d"], []),
        ("test", "ann", ["c", "c", "d"], ["y", "z"]),
        ("test", "bob", ["b"], []),
        ("test", "cleo", [], ["c"]),
        ("train", "ann", ["a", "a", "b"], []),
        ("train", "bob", ["b"], []),
        ("validation", "ann", ["a", "a", "b"], ["c"]),
        ("validation", "bob", ["b"], []),
    ]
    train = next(row for row in got if row[:2] == ("train", "ann"))
    assert train[3] == ["purchase", "view", "purchase"]
    random.Random(7).shuffle(events)
    assert sequences(spark, events) == got


def test_sessions_are_told_apart_and_order_the_events_of_a_moment(tables: SparkLake) -> None:
    moment = datetime(2017, 12, 1, 12, tzinfo=UTC)
    told = [("b", "s1"), ("a", "s2"), ("c", "s1"), ("d", None)]
    rows = [factories.event("ann", item, moment, session_id=session) for item, session in told]
    made = tables.frame(EVENTS, rows).transform(to_sequences, WINDOWS).where("split = 'train'").first()
    assert made is not None
    by_session: dict[int, list[str]] = {}
    for item, session in zip(made["item_ids"], made["sessions"], strict=True):
        by_session.setdefault(session, []).append(item)
    # of four events of a moment the history keeps three: which ones does not depend on the machine
    assert [item for items_ in by_session.values() for item in items_] == made["item_ids"]
    wide = replace(WINDOWS, max_history=10)
    whole = tables.frame(EVENTS, rows[::-1]).transform(to_sequences, wide).where("split = 'train'").first()
    assert whole is not None
    assert whole["item_ids"][1:] == made["item_ids"]
    assert len(set(whole["sessions"])) == 3
    assert 0 in whole["sessions"]


items, users = st.sampled_from("abc"), st.sampled_from([f"u{number:02d}" for number in range(16)])
behaviours = st.sampled_from(["purchase", "view"])
edges = [edge for window in SPLITS.values() for edge in window]
times = st.one_of(
    st.sampled_from([edge + off for edge in edges for off in (-1, 0, 1)]),
    st.integers(midnight_seconds(date(2017, 12, 1)), midnight_seconds(date(2017, 12, 25))),
)


@hypothesis_settings(
    # a Spark job takes a second, however few the users are: many in each example
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=st.lists(st.tuples(users, items, behaviours, times), min_size=100, max_size=250), order=st.randoms())
def test_nothing_leaks(spark: SparkSession, events: list[Event], order: random.Random) -> None:
    got = sequences(spark, events)
    for split, user, item_ids, behaviours_, seconds, _, _, targets in got:
        start, end = SPLITS[split]
        own = [e for e in events if e[0] == user]
        before = sorted((s, i, b) for _, i, b, s in own if s < start)
        assert list(zip(seconds, item_ids, behaviours_, strict=True)) == before[-WINDOWS.max_history :]
        assert targets == sorted({i for _, i, b, s in own if start <= s < end and b == "purchase"})
    order.shuffle(events)
    assert sequences(spark, events) == got


def test_windows_begin_at_the_shops_midnight(tables: SparkLake) -> None:
    def moment(day: int, hour: int, minute: int, zone: str, month: int = 10) -> datetime:
        return datetime(2017, month, day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    # summer time ends in Berlin on the 29th, within the test window
    for zone, order in (("Asia/Tokyo", 1), ("Europe/Berlin", -1)):
        windows = Windows(date(2017, 11, 2), window_days=7, max_history=9, targets=WINDOWS.targets, time_zone=zone)
        rows = [
            factories.event("ann", "train", moment(18, 23, 30, zone)),
            factories.event("ann", "validation", moment(19, 0, 30, zone)),
            factories.event("ann", "late in validation", moment(25, 23, 30, zone)),
            factories.event("ann", "test", moment(26, 0, 30, zone)),
            factories.event("ann", "late in test", moment(1, 23, 30, zone, 11)),
            factories.event("ann", "after", moment(2, 0, 30, zone, 11)),
        ][::order]
        made = tables.frame(EVENTS, rows).transform(to_sequences, windows).collect()
        assert {row["split"]: (row["item_ids"], row["targets"]) for row in made} == {
            "train": (["train"], []),
            "validation": (["train"], ["late in validation", "validation"]),
            "test": (["train", "validation", "late in validation"], ["late in test", "test"]),
            "latest": (["train", "validation", "late in validation", "test", "late in test"], []),
        }
        (times,) = (row["times"] for row in made if row["split"] == "test")
        assert [time - windows.test_start for time in times[1:]] == [1800 - 7 * 86_400, -1800]


def with_small_history(settings: Settings, length: int) -> Settings:
    return settings.model_copy(update={"splits": settings.splits.model_copy(update={"max_history": length})})


def test_a_snapshot_is_replaced_and_others_stay(tables: SparkLake) -> None:
    tables.write(EVENTS, rows_of([
        event("ann", "a", "2017-12-01"), event("ann", "b", "2017-12-02"), event("ann", "c", "2017-12-10"),
        event("ann", "d", "2017-12-20"), event("ann", "e", "2017-12-23"),
    ]))  # fmt: skip
    first = run(tables.spark, tables.settings, AsOf(as_of=END))
    rows = tables.rows(SEQUENCES)
    assert {row["split"]: (row["item_ids"], row["targets"]) for row in rows} == {
        "train": (["a", "b"], []), "validation": (["a", "b"], ["c"]), "test": (["a", "b", "c"], ["d"]),
        "latest": (["a", "b", "c", "d"], []),
    }  # fmt: skip
    assert run(tables.spark, tables.settings, AsOf(as_of=END)) == first
    assert tables.rows(SEQUENCES) == rows
    second = run(tables.spark, with_small_history(tables.settings, 1), AsOf(as_of=END))
    assert second != first
    assert [row for row in tables.rows(SEQUENCES) if row["snapshot_id"] == first] == rows


def test_too_few_days_are_refused(tables: SparkLake) -> None:
    tables.write(EVENTS, rows_of([event("ann", "a", "2017-12-20")]))
    with pytest.raises(InputError, match=r"No validation split as of 2017-12-23: .*Ingest more days"):
        run(tables.spark, tables.settings, AsOf(as_of=END))


def test_the_snapshot_id_names_what_decides_its_rows(settings: Settings) -> None:
    same = Windows.of(settings, END, 7)
    assert same.snapshot_id == Windows.of(settings, END, 7).snapshot_id
    assert same.snapshot_id == "2017-12-23-7d-9ee432b2"
    tokyo = settings.model_copy(update={"shop": Shop(time_zone="Asia/Tokyo")})
    assert Windows.of(tokyo, END, 7).snapshot_id != same.snapshot_id
    assert Windows.of(with_small_history(settings, 1), END, 7).snapshot_id != same.snapshot_id
