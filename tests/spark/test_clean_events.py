"""Raw logs become events, rejects with their first reason, or counted duplicates: nothing is lost on the way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.cli import Days
from contracts.errors import InputError
from contracts.fallback import FALLBACK_USER
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS
from contracts.settings import Settings, Shop
from contracts.tables import EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS, ITEMS_REJECTED
from spark_jobs.clean_events import balance
from spark_jobs.ingest import items
from spark_jobs.ingest.events import REASONS, classified
from spark_jobs.ingest.expressions import ITEM_COLUMNS
from spark_jobs.ingest.items import with_attributes, with_reason, with_text
from spark_jobs.ingest.landing import land
from spark_jobs.ingest.records import BROKEN
from spark_jobs.ingest.times import parsed_time
from tests.ingesting import take_in
from tests.lakes import SparkLake

DAY = date(2017, 12, 23)
NEXT = DAY + timedelta(days=1)
Record = dict[str, Any] | str
GOOD: dict[str, Any] = {
    "event_time": "2017-12-23T10:00:00Z", "event_type": "purchase", "user_id": "ann", "item_id": "milk",
    "quantity": 1, "price": 0.99, "session_id": "s1",
}  # fmt: skip
CATALOGUE: list[Record] = [
    {
        "item_id": "milk",
        "title": "Whole Milk",
        "product_type": "WHOLE  MILK",
        "brand": "Private",
        "size": "1 GAL",
        "price": -1,
    },
    {"item_id": "tea", "category": "Tea", "department": "Grocery", "available": "false"},
    {"item_id": " tea ", "category": "Tea, but a second one"},
    {"item_id": None, "title": "No id"},
]


def event(**changes: object) -> dict[str, Any]:
    return {**GOOD, **changes}


def put(settings: Settings, name: str, records: Sequence[Record]) -> Path:
    """A file of JSON lines; strings go in as they are."""
    file = settings.landing / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def put_log(settings: Settings, day: date, *records: Record, name: str = "a.jsonl") -> Path:
    put(settings, "items/catalogue.jsonl", CATALOGUE)
    return put(settings, f"events/ds={day}/{name}", records)


def clean(tables: SparkLake, start: date = DAY, end: date = NEXT, *, allow_empty: bool = False) -> None:
    take_in(tables, Days(start=start, end=end, allow_empty=allow_empty))


def counts(tables: SparkLake) -> dict[str, tuple[int, int, int, int]]:
    return {
        str(row["ds"]): (row["raw"], row["clean"], row["rejected"], row["duplicates"])
        for row in tables.rows(INGEST_COUNTS)
    }


def content(tables: SparkLake) -> list[list[dict[str, Any]]]:
    return [tables.rows(t) for t in (EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS, ITEMS_REJECTED)]


def test_every_record_has_its_fate_and_a_second_run_changes_nothing(tables: SparkLake) -> None:
    bot = [event(user_id="bot", session_id=f"b{n}") for n in range(501)]
    bad: dict[str, Record] = {
        "unparseable_record": '{"event_time": "2017-12-23T10',
        "missing_user_id": event(user_id=" "),
        "missing_item_id": event(item_id=None),
        "unusable_id": event(user_id="a\x1fnn"),
        "reserved_user_id": event(user_id=f" {FALLBACK_USER}"),
        "unparseable_time": event(event_time="yesterday"),
        "outside_interval": event(event_time="2017-12-24T00:00:00Z"),
        "returned": event(event_type="Refund", quantity=-1),
        "unknown_behaviour": event(event_type="stare"),
        "non_positive_quantity": event(quantity=0),
        "negative_price": event(price=-0.01),
        "unknown_item": event(item_id="caviar"),
    }
    put_log(
        tables.settings, DAY, *bad.values(),
        event(),
        event(user_id=" ann", event_type="Purchase", quantity="1.0", event_time="2017-12-23 10:00:00"),  # the same
        event(user_id=None, item_id=None),  # the first reason counts
        event(event_type="view", quantity=None, price="n/a", session_id=""),
        event(event_time="2017-12-20T00:00:00Z"),  # as late as it may be
        event(event_time="2017-12-19T23:59:59Z"),
        event(quantity=None), event(event_type="view", quantity="two"), event(quantity="NaN"),
        event(item_id="tea", event_time=1514023200),
        *bot,
        event(user_id="bot", event_time="2017-12-23T11:00:00Z"),  # one hour later it behaves
        name="a.jsonl.gz",
    )  # fmt: skip
    clean(tables)
    events = tables.rows(EVENTS)
    ten = datetime(2017, 12, 23, 10, tzinfo=UTC)
    assert sorted((e["user_id"], e["item_id"], e["behaviour"], e["event_time"]) for e in events) == [
        ("ann", "milk", "purchase", datetime(2017, 12, 20, tzinfo=UTC)),
        ("ann", "milk", "purchase", ten),
        ("ann", "milk", "view", ten),
        ("ann", "tea", "purchase", ten),
        ("bot", "milk", "purchase", ten + timedelta(hours=1)),
    ]
    (view,) = (e for e in events if e["behaviour"] == "view")
    assert (view["quantity"], view["price"], view["session_id"]) == (None, None, None)
    rejected = tables.rows(EVENTS_REJECTED)
    by_reason = {reason: sum(r["reason"] == reason for r in rejected) for reason in REASONS}
    assert by_reason == dict.fromkeys(REASONS, 1) | {
        "missing_user_id": 2, "outside_interval": 2, "non_positive_quantity": 4, "rating_off_scale": 0,
        "bot_like_rate": 501,
    }  # fmt: skip
    (broken,) = (r for r in rejected if r["reason"] == "unparseable_record")
    assert broken["raw"] == bad["unparseable_record"]
    assert broken["source_file"] == "events/ds=2017-12-23/a.jsonl.gz"
    assert counts(tables) == {"2017-12-23": (524, 5, 518, 1)}
    before = content(tables)
    clean(tables)
    assert content(tables) == before


def test_all_formats_give_the_same_events(tables: SparkLake) -> None:
    folder = put_log(tables.settings, DAY, event(), event(user_id="12")).parent
    frame = pd.DataFrame([event(), event(user_id="13")])[::-1]
    frame[["user_id", *(c for c in EVENT_COLUMNS if c != "user_id")]].to_csv(folder / "b.csv", index=False)
    (folder / "c.csv.gz").write_bytes(gzip.compress(
        b'\xef\xbb\xbf"event_time",event_type,user_id,item_id,quantity,price,session_id,extra\r\n'
        b'2017-12-23T10:00:00Z,purchase,14,"milk",1,0.99,s1,"a, ""b"""\r\n'
        b"2017-12-23T10:00:00Z,purchase\r\n"
    ))  # fmt: skip
    typed = pd.DataFrame([event(user_id=12.0), event(user_id=15.0)])  # ids that a writer with nulls made floats
    typed["event_time"] = pd.to_datetime(typed["event_time"])
    typed.to_parquet(folder / "d.parquet")
    clean(tables)
    assert [e["user_id"] for e in sorted(tables.rows(EVENTS), key=lambda e: str(e["user_id"]))] == [
        "12", "13", "14", "15", "ann",
    ]  # fmt: skip
    assert [(r["reason"], r["raw"]) for r in tables.rows(EVENTS_REJECTED)] == [
        ("unparseable_record", "2017-12-23T10:00:00Z,purchase")
    ]
    assert counts(tables) == {"2017-12-23": (8, 5, 1, 2)}


def test_days_cleaned_alone_or_together_end_the_same(tables: SparkLake, tmp_path: Path) -> None:
    late = event(event_time="2017-12-22T10:00:00Z")
    many = [event(user_id="bot", session_id=f"b{n}") for n in range(501)]
    put_log(tables.settings, DAY, late, event(quantity=0), *many)
    # brought again a day later: the clean one is a duplicate, rejects and what was a bot's are judged anew
    put_log(tables.settings, NEXT, late, late, event(quantity=0), many[0], name="b.jsonl")
    end = NEXT + timedelta(days=1)
    clean(tables, DAY, end)
    assert counts(tables) == {"2017-12-23": (503, 1, 502, 0), "2017-12-24": (4, 1, 1, 2)}
    together = content(tables)
    alone = replace(tables, settings=tables.settings.model_copy(update={"home": tmp_path / "other"}))
    put_log(alone.settings, DAY, late, event(quantity=0), *many)
    put_log(alone.settings, NEXT, late, late, event(quantity=0), many[0], name="b.jsonl")
    clean(alone, DAY, NEXT)
    clean(alone, NEXT, end)
    assert content(alone) == together


def test_an_allowed_empty_day_is_counted_and_replaces_what_was_there(tables: SparkLake) -> None:
    file = put_log(tables.settings, DAY, event())
    clean(tables)
    file.write_bytes(b"")
    with pytest.raises(InputError, match="zero bytes"):
        clean(tables)
    assert len(tables.rows(EVENTS)) == 1
    clean(tables, allow_empty=True)
    assert counts(tables) == {"2017-12-23": (0, 0, 0, 0)}
    assert tables.rows(EVENTS) == []
    file.unlink()
    closed = tables.settings.model_copy(update={"shop": Shop(closed_dates=(DAY,))})
    clean(replace(tables, settings=closed))
    assert [(row["files"], row["raw"]) for row in tables.rows(INGEST_COUNTS)] == [(0, 0)]


def test_items_are_rendered_once_each_and_left_alone_while_the_catalogue_stays(tables: SparkLake) -> None:
    def update() -> None:
        clean(tables)

    put_log(tables.settings, DAY, event())
    update()
    assert {i["item_id"]: (i["text"], i["available"], i["price"]) for i in tables.rows(ITEMS)} == {
        "milk": ("whole milk, private brand, 1 gal", True, None),
        "tea": ("tea, but a second one", True, None),
    }
    assert {r["reason"] for r in tables.rows(ITEMS_REJECTED)} == {"missing_item_id", "duplicate_item"}
    version = lake.version(tables.settings, ITEMS)
    update()
    assert lake.version(tables.settings, ITEMS) == version
    for _ in range(2):
        put(tables.settings, "items/catalogue.jsonl", CATALOGUE[:2])
        update()
        assert lake.version(tables.settings, ITEMS) == version + 1
    assert [i["available"] for i in tables.rows(ITEMS)] == [True, False]


def test_a_text_leaves_out_missing_and_repeated_parts(spark: SparkSession) -> None:
    columns = [*ITEM_COLUMNS, "raw", BROKEN]
    rows: list[dict[str, Any]] = [
        {"item_id": "1", "title": "Tea", "category": "TEA", "department": "Grocery", "brand": "National"},
        {"item_id": "2", "size": " 5  OZ "},
        {"item_id": "3"},
    ]
    schema = ", ".join(f"{name} {'boolean' if name == BROKEN else 'string'}" for name in columns)
    frame = spark.createDataFrame([tuple({BROKEN: False, **row}.get(c) for c in columns) for row in rows], schema)
    made = frame.transform(with_attributes).transform(with_reason)
    texts = made.transform(with_text, "{title}, {category}, kind: {department}, {brand} brand, {size}")
    assert [row["text"] for row in texts.orderBy("item_id").collect()] == [
        "tea, kind: grocery, national brand", "5 oz", "",
    ]  # fmt: skip


def test_times_are_iso_or_seconds_since_1970(spark: SparkSession) -> None:
    same = datetime(2017, 12, 23, 10, tzinfo=UTC)
    texts = [
        "2017-12-23T10:00:00Z", "2017-12-23 10:00:00", "2017-12-23T12:00:00+02:00", "1514023200",
        "1514023200000", "1514023200000000", "1.5140232E9",
    ]  # fmt: skip
    wrong = ["10:00", "2017", "now", "2017-13-01", "-1514023200", "99999999999999999999", "20171223", None]
    frame = spark.createDataFrame([(text,) for text in texts + wrong], "text string")
    got = [row[0] for row in frame.select(F.unix_timestamp(parsed_time(F.col("text")))).collect()]
    assert got == [int(same.timestamp())] * len(texts) + [None] * len(wrong)


def test_a_day_that_does_not_balance_writes_nothing(tables: SparkLake) -> None:
    put_log(tables.settings, DAY, event())
    interval = Interval.of_night(DAY)
    landing = land(tables.settings, interval)
    put(tables.settings, "items/catalogue.jsonl", CATALOGUE)
    prepared = items.prepare(tables.spark, tables.settings, {interval: landing})
    known = items.known_to(tables.spark, tables.settings, [interval], prepared)
    put_log(tables.settings, DAY, event(), event(user_id="bob"))  # the file grows after it was counted
    records = classified(tables.spark, tables.settings, interval, landing, known)
    with pytest.raises(InputError, match=r"The log of 2017-12-23 does not balance: 1 records in its files, but 2"):
        balance(records, {interval: landing})


def test_a_file_that_changed_since_it_landed_is_read_again(tables: SparkLake) -> None:
    put_log(tables.settings, DAY, event())
    land(tables.settings, Interval.of_night(DAY))
    put_log(tables.settings, DAY, event(), event(user_id="bob"))
    clean(tables)
    assert counts(tables) == {"2017-12-23": (2, 2, 0, 0)}
