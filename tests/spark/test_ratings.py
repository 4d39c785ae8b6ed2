"""Ratings from the log to the tables, and the one rule of what they say: in Spark, in Arrow and in NumPy."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from pyspark.sql import Column
from pyspark.sql import functions as F

from contracts import lake
from contracts.arrow_types import schema
from contracts.cli import AsOf, Days
from contracts.settings import Ingest, Settings, Splits, load_settings
from contracts.tables import EVENTS, EVENTS_REJECTED, ITEMS, SEQUENCES
from models.behaviours import Behaviours, Known
from models.catalogue import histories_from_arrow
from models.histories import DAY, Histories
from models.store.snapshot import read_split
from nightshift.lookups import rescoring
from nightshift.starter.starter import start
from spark_jobs import build_splits
from spark_jobs.ingest.profile import profile
from spark_jobs.scoring.histories import daily_counts, histories, strength
from tests import factories
from tests.factories import shop_catalogue
from tests.ingesting import take_in
from tests.lakes import SparkLake

DAY_ = date(2017, 12, 23)
TEN = datetime(2017, 12, 23, 10, tzinfo=UTC)
STARS = Ingest(rating_scale=(1, 5), targets=("rating",))


@pytest.fixture
def rated(tables: SparkLake) -> SparkLake:
    """A lake of a shop with stars."""
    settings = tables.settings.model_copy(update={"ingest": STARS, "splits": Splits(window_days=7)})
    return SparkLake(settings, tables.spark)


def put(settings: Settings, day: date, *records: dict[str, Any]) -> None:
    """A day's log, and a catalogue of one item."""
    for name, rows in (
        (f"events/ds={day}/a.jsonl", records),
        ("items/a.jsonl", [{"item_id": "milk", "title": "Milk"}]),
    ):
        file = settings.landing / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def record(user: str, **changes: Any) -> dict[str, Any]:
    return {
        "event_time": "2017-12-23T10:00:00Z", "event_type": "rating", "user_id": user, "item_id": "milk",
        "quantity": None, "price": None, "session_id": None,
    } | changes  # fmt: skip


def test_ratings_are_read_and_those_off_the_scale_are_rejected(rated: SparkLake) -> None:
    told = {
        "a": 5, "b": "1", "c": " 2.5 ", "d": None, "e": "", "f": 0, "g": 5.01, "h": "five", "i": "NaN", "j": -1,
        "k": "4,5",
    }  # fmt: skip
    plain = record("l", event_type="purchase", quantity=1, price=0.99, session_id="s1")
    put(rated.settings, DAY_, *(record(user, rating=rating) for user, rating in told.items()), plain)
    take_in(rated, Days(start=DAY_, end=DAY_ + timedelta(days=1)))
    events = {row["user_id"]: row for row in rated.rows(EVENTS)}
    assert {user: row["rating"] for user, row in events.items()} == {
        "a": 5.0, "b": 1.0, "c": 2.5, "d": None, "e": None, "l": None,
    }  # fmt: skip
    rejected = rated.rows(EVENTS_REJECTED)
    assert [row["reason"] for row in rejected] == ["rating_off_scale"] * 6
    assert {json.loads(row["raw"])["user_id"] for row in rejected} == set("fghijk")
    # an event without a rating has the id that it had before there were any
    before = "\x1f".join(["2017-12-23 10:00:00", "purchase", "l", "milk", "1.0", "0.99", "s1"])
    assert events["l"]["event_id"] == hashlib.sha256(before.encode()).hexdigest()[:32]


def test_two_ratings_of_one_moment_are_two_events_and_the_same_one_twice_is_one(rated: SparkLake) -> None:
    put(rated.settings, DAY_, *(record("ann", rating=rating) for rating in (4, 5, "4.0", None, "x", "y")))
    take_in(rated, Days(start=DAY_, end=DAY_ + timedelta(days=1)))
    assert sorted(row["rating"] or 0 for row in rated.rows(EVENTS)) == [0, 4, 5]
    assert len(rated.rows(EVENTS_REJECTED)) == 2


def test_a_log_without_ratings_is_taken_in_where_there_is_a_scale(rated: SparkLake) -> None:
    put(rated.settings, DAY_, record("ann"))
    take_in(rated, Days(start=DAY_, end=DAY_ + timedelta(days=1)))
    assert [row["rating"] for row in rated.rows(EVENTS)] == [None]


def test_a_file_of_stars_is_guessed_and_taken_in_as_it_is(tables: SparkLake, tmp_path: Path) -> None:
    file = tmp_path / "ratings.dat"
    stars = ("5", "4", "4.5", "3", "5", "1", "4", "2")
    file.write_text("".join(f"{n % 40}::{n % 60}::{stars[n % 8]}::{978_300_760 + n}\n" for n in range(200)))
    start(tables.settings, file, None, "UTC")
    settings = load_settings({"NIGHTSHIFT_HOME": str(tables.settings.home), "NIGHTSHIFT_PROFILE": "demo"})
    found = profile(tables.spark, settings)
    assert (found.days, found.reasons) == ({date(2000, 12, 31): {"clean": 200, "rejected": 0, "duplicate": 0}}, {})


def made_before_ratings(tables: SparkLake, *rows: dict[str, Any]) -> None:
    """The table `events` as a version wrote it that knew no ratings."""
    older = pa.schema([field for field in schema(EVENTS) if field.name != "rating"])
    made = pa.Table.from_pylist([{name: row.get(name) for name in older.names} for row in rows], older)
    deltalake.write_deltalake(str(lake.path(tables.settings, EVENTS)), made, partition_by=["ds"])


def test_a_table_that_was_made_before_ratings_reads_them_as_null_and_gets_them_with_the_next_write(
    rated: SparkLake,
) -> None:
    settings, spark = rated.settings, rated.spark
    first, second = DAY_ - timedelta(days=1), DAY_
    old = factories.event("ann", "milk", factories.noon(first))
    made_before_ratings(rated, old)
    assert [row["rating"] for row in rated.rows(EVENTS)] == [None]
    assert [row.rating for row in lake.read(spark, settings, EVENTS).collect()] == [None]
    assert lake.count(settings, EVENTS, STARS.target_events.are(pads.field, pads.Expression.is_null)) == 0
    put(settings, second, record("bob", rating=4))
    take_in(rated, Days(start=second, end=second + timedelta(days=1)))
    expected = {"ann": None, "bob": 4.0}
    assert {row["user_id"]: row["rating"] for row in rated.rows(EVENTS)} == expected
    assert {row.user_id: row.rating for row in lake.read(spark, settings, EVENTS).collect()} == expected
    assert rated.rows(EVENTS)[0].keys() == set(EVENTS.names)
    # the version before is read as it was then
    assert [row.rating for row in lake.read(spark, settings, EVENTS, at=0).collect()] == [None]
    assert lake.arrow(settings, EVENTS, ["user_id", "rating"], at=0).to_pylist() == [{"user_id": "ann", "rating": None}]


def test_small_tables_get_a_new_column_too(rated: SparkLake) -> None:
    settings, first = rated.settings, DAY_ - timedelta(days=1)
    made_before_ratings(rated, factories.event("ann", "milk", factories.noon(first)))
    new = factories.event("bob", "milk", TEN, rating=3.0)
    lake.replace_small(settings, EVENTS, [tuple(new.get(name) for name in EVENTS.names)], f"ds = '{DAY_}'")
    assert {row["user_id"]: row["rating"] for row in rated.rows(EVENTS)} == {"ann": None, "bob": 3.0}
    frame = lake.read(rated.spark, settings, EVENTS)
    assert {row.user_id: row.rating for row in frame.collect()} == {"ann": None, "bob": 3.0}


RULES = [
    Ingest(),
    STARS,
    Ingest(rating_scale=(1, 5), targets=("purchase", "rating"), min_target_rating=2.5),
    Ingest(rating_scale=(-1, 1), targets=("view",)),
]
RATINGS = (None, -3.0, -1.0, 0.0, 0.5, 1.0, 2.4, 2.5, 3.0, 4.0, 4.1, 5.0, 9.0)  # also of a time with another scale


@pytest.mark.parametrize("ingest", RULES, ids=str)
def test_spark_arrow_and_numpy_agree_on_what_an_event_says(tables: SparkLake, ingest: Ingest) -> None:
    names = (*ingest.behaviours, "unknown")
    rows = [
        factories.event("ann", f"i{n:02d}", TEN, behaviour, rating=rating, event_id=f"{n}-{behaviour}")
        for behaviour in names
        for n, rating in enumerate(RATINGS)
    ]
    tables.write(EVENTS, rows)
    rule = ingest.target_events
    seen = lake.read(tables.spark, tables.settings, EVENTS).select(
        "event_id", strength(ingest).alias("strength"), rule.are(F.col, Column.isNull).alias("is_target")
    )
    of_spark = {row.event_id: (row.strength, row.is_target) for row in seen.collect()}
    of_arrow = lake.arrow(tables.settings, EVENTS, ["event_id"], rule.are(pads.field, pads.Expression.is_null))
    targets = {name for name, (_, is_target) in of_spark.items() if is_target}
    assert set(of_arrow["event_id"].to_pylist()) == targets
    assert {row["event_id"] for row in rows if rule.is_one(row["behaviour"], row["rating"])} == targets
    behaviours = Behaviours.of(ingest.behaviours, ingest.targets, ingest.scale)
    count = len(rows)
    past = Histories(
        np.array([0, count]), np.zeros(count, np.int32),
        np.array([names.index(row["behaviour"]) for row in rows], np.int32), np.zeros(count, np.int64),
        np.zeros(count, np.int64), np.array([row["rating"] for row in rows], np.float32),
    )  # fmt: skip
    past.behaviours[past.behaviours == len(names) - 1] = -1
    expected = np.array([of_spark[row["event_id"]][0] for row in rows], np.float32)
    np.testing.assert_allclose(behaviours.strengths(past), expected, rtol=1e-5, atol=1e-6)
    assert {row["event_id"] for row, each in zip(rows, behaviours.are_targets(past), strict=True) if each} == targets


def shop(rated: SparkLake) -> None:
    """Ratings of one user in each of the windows as of the day, and an unrated shop beside."""
    day = timedelta(days=1)
    rated.write(
        EVENTS,
        [
            factories.event("ann", "i00", TEN - 30 * day, "rating", rating=5.0),
            factories.event("ann", "i01", TEN - 29 * day, "rating", rating=1.0),
            factories.event("ann", "i02", TEN - 28 * day, "view"),
            factories.event("ann", "i03", TEN - 10 * day, "rating", rating=4.0),
            factories.event("ann", "i04", TEN - 10 * day, "rating", rating=3.9),
            factories.event("ann", "i05", TEN - 3 * day, "rating", rating=2.0),
            factories.event("ann", "i06", TEN - 3 * day, "rating"),
            factories.event("bob", "i07", TEN - 30 * day, "rating"),
        ],
    )
    rated.write(ITEMS, [factories.item("i00")])


def test_sequences_have_ratings_and_targets_that_are_not_rated_low(rated: SparkLake) -> None:
    shop(rated)
    snapshot = build_splits.run(rated.spark, rated.settings, AsOf(as_of=DAY_ + timedelta(days=1)))
    found = {(row["split"], row["user_id"]): row for row in rated.rows(SEQUENCES)}
    assert found["train", "ann"]["ratings"] == [5, 1, None]
    assert found["train", "bob"]["ratings"] is None
    assert found["validation", "ann"]["targets"] == ["i03"]
    assert found["test", "ann"]["targets"] == ["i06"]
    split = read_split(rated.settings, shop_catalogue(), snapshot, "test", list(rated.settings.ingest.behaviours))
    assert split.user_ids == ["ann", "bob"]
    np.testing.assert_array_equal(split.histories.ratings, np.array([5, 1, np.nan, 4, 3.9, np.nan], np.float32))


def test_a_night_reads_the_same_ratings_with_spark_and_without(rated: SparkLake) -> None:
    shop(rated)
    end = DAY_ + timedelta(days=1)
    events = lake.read(rated.spark, rated.settings, EVENTS)
    rows = histories(events, end, rated.settings).toArrow().sort_by("user_id")
    names = list(STARS.behaviours)
    of_night = histories_from_arrow(rows, shop_catalogue(), names)
    one = rescoring.history(rated.settings, "ann", end)
    of_one = histories_from_arrow(pa.table({name: [value] for name, value in one.items()}), shop_catalogue(), names)
    for name, values in vars(of_night.take(np.array([0]))).items():
        np.testing.assert_array_equal(getattr(of_one, name), values)
    assert np.isnan(of_night.ratings[-1])
    counted = daily_counts(events, end, rated.settings).toArrow().sort_by([("item_id", "ascending")])
    assert counted["item_id"].to_pylist() == [f"i{n:02d}" for n in range(8)]
    assert counted["events"].to_pylist() == [1, 0, 0, 1, 0, 0, 1, 1]
    np.testing.assert_allclose(counted["strength"], [1, 0, 0.2, 0.75, 0.725, 0.25, 1, 1])
    again = rescoring.daily_counts(rated.settings, end).sort_by([("item_id", "ascending")])
    np.testing.assert_allclose(again["strength"], counted["strength"], rtol=1e-6)
    assert again["events"].to_pylist() == counted["events"].to_pylist()
    known = Known.of(of_night, Behaviours.of(STARS.behaviours, STARS.targets, STARS.scale), 2**40 + DAY)
    assert known.targets.items.tolist() == [0, 3, 6, 7]
