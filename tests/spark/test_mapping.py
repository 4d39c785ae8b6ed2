"""Logs of other shapes become the events that the contract's shape gives, by the same code."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts.cli import Days
from contracts.errors import InputError, SettingsError
from contracts.interval import Interval
from contracts.mapping import Event
from contracts.settings import Settings, Shop
from contracts.tables import EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS
from spark_jobs.ingest.expressions import event_fields
from spark_jobs.ingest.landing import land
from spark_jobs.ingest.profile import profile
from spark_jobs.ingest.records import read_records
from spark_jobs.ingest.times import day_of, midnight, parsed_time, patterned_time, require_pattern
from tests.ingesting import take_in
from tests.lakes import SparkLake

DAY = date(2011, 12, 8)
TWO_DAYS = Interval(DAY, DAY + timedelta(days=2))

INVOICES = """\
InvoiceNo;StockCode;Description;Quantity;InvoiceDate;LineTotal;Customer ID;Country
7;85123A;"GLÜHWEIN; 6 CUPS";6;12/8/2011 0:30;15,30;17850;Österreich
7;71053;LANTERN;2;12/8/2011 0:30;6,78;17850;Österreich
7;71053;LANTERN;2;12/8/2011 0:30;6,78;17850;Österreich
C8;71053;LANTERN;-2;12/8/2011 23:59;-6,78;17850;Österreich
9;22423;CAKE "STAND";1;12/8/2011 10:00;12,75;;Deutschland
10;M;;1;sometime;1,00;13047;Deutschland
11;71053;LANTERN, RED;3;12/9/2011 9:05;10,50;13047;Deutschland
12;M;;1;12/9/2011 9:05;-1,00;13047;Deutschland
13;71053;LANTERN, OLD;1;12/7/2011 9:05;3,50;13047;Deutschland
"""
INVOICE_MAPPING = """
[logs]
path = "export"
encoding = "iso-8859-1"
delimiter = ";"
[event]
user_id = "Customer ID"
item_id = "StockCode"
event_time = "InvoiceDate"
time_format = "M/d/yyyy H:mm"
event_type = "CASE WHEN Quantity < 0 THEN 'return' ELSE 'Sold' END"
quantity = "abs(Quantity)"
value = "replace(LineTotal, ',', '.')"
session_id = "InvoiceNo"
[behaviours]
purchase = ["sold"]
[catalogue]
inline = true
[item]
title = "Description"
"""


def put(settings: Settings, name: str, content: str | bytes) -> Path:
    file = settings.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def in_zone(tables: SparkLake, zone: str, mapping: str = "") -> SparkLake:
    """The test's lake in a shop of another zone, with a mapping."""
    if mapping:
        put(tables.settings, "mapping.toml", mapping)
    return replace(tables, settings=tables.settings.model_copy(update={"shop": Shop(time_zone=zone)}))


def clean(tables: SparkLake, interval: Interval) -> None:
    take_in(tables, Days(start=interval.start, end=interval.end))


def told(tables: SparkLake) -> list[tuple[str, ...]]:
    """What the events say, besides where they come from."""
    return sorted(
        (e["user_id"], e["item_id"], e["behaviour"], f"{e['event_time']:%d %H:%M:%S}", f"{e['ds']:%d}")
        for e in tables.rows(EVENTS)
    )


def counts(tables: SparkLake) -> dict[str, tuple[int, ...]]:
    names = ("files", "raw", "clean", "rejected", "duplicates")
    return {f"{row['ds']:%d}": tuple(row[name] for name in names) for row in tables.rows(INGEST_COUNTS)}


def test_an_export_of_invoices_gives_the_events_of_its_days(tables: SparkLake) -> None:
    shop = in_zone(tables, "Europe/Berlin", INVOICE_MAPPING)
    put(shop.settings, "export/all.csv", INVOICES.encode("iso-8859-1"))
    clean(shop, TWO_DAYS)
    assert told(shop) == [
        ("13047", "71053", "purchase", "09 08:05:00", "09"),
        ("17850", "71053", "purchase", "07 23:30:00", "08"),
        ("17850", "85123A", "purchase", "07 23:30:00", "08"),
    ]
    assert {(e["item_id"], e["quantity"], e["price"], e["session_id"]) for e in shop.rows(EVENTS)} == {
        ("71053", 3.0, 3.5, "11"), ("71053", 2.0, 3.39, "7"), ("85123A", 6.0, 2.5500000000000003, "7"),
    }  # fmt: skip
    rejected = {(r["reason"], r["raw"].split(";")[0], r["source_file"]) for r in shop.rows(EVENTS_REJECTED)}
    assert rejected == {
        ("returned", "C8", "all.csv"), ("missing_user_id", "9", "all.csv"), ("negative_price", "12", "all.csv"),
    }  # fmt: skip
    assert counts(shop) == {"08": (1, 5, 2, 2, 1), "09": (1, 2, 1, 1, 0)}
    # of the newest record of the run's days; the item without a customer is one
    assert {i["item_id"]: i["text"] for i in shop.rows(ITEMS)} == {
        "22423": 'cake "stand"', "71053": "lantern, red", "85123A": "glühwein; 6 cups", "M": "",
    }  # fmt: skip
    before = [shop.rows(table) for table in (EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS)]
    clean(shop, TWO_DAYS)
    assert [shop.rows(table) for table in (EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS)] == before
    # the first day has the record without a time, and no other run has had it
    clean(shop, Interval.of_night(date(2011, 12, 7)))
    assert counts(shop)["07"] == (1, 2, 1, 1, 0)
    assert [r["raw"][:2] for r in shop.rows(EVENTS_REJECTED) if r["reason"] == "unparseable_time"] == ["10"]
    with pytest.raises(InputError, match=r"no record in .*export is of that day.*nearest .*: 2011-12-07, 2011-12-08"):
        clean(shop, Interval.of_night(date(2011, 12, 10)))


def test_an_export_of_a_web_shop_packed_by_zstd_is_its_own_catalogue(tables: SparkLake) -> None:
    header = "event_time,event_type,product_id,category_code,brand,price,user_id,user_session\n"
    lines = [
        "2019-10-01 00:00:00 UTC,view,1,appliances.kitchen,acme,9.99,u1,s1",
        "2019-10-01 00:00:05 UTC,addtocart,1,appliances.kitchen,acme,9.99,u1,s1",
        "2019-10-01 00:01:00 UTC,transaction,1,appliances.kitchen,acme2,9.49,u1,s1",
        "2019-10-01 00:02:00 UTC,remove_from_cart,2,,,-5,u1,s1",
    ]
    packed = pa.compress((header + "\n".join(lines)).encode(), codec="zstd", asbytes=True)
    mapping = """
        [logs]
        path = "export/2019-Oct.csv.zst"
        [event]
        user_id = "user_id"
        item_id = "product_id"
        event_time = "event_time"
        event_type = "event_type"
        price = "price"
        session_id = "user_session"
        [behaviours]
        purchase = ["transaction", "order"]
        cart = ["AddToCart"]
        [catalogue]
        inline = true
        [item]
        department = "split(category_code, '[.]')[0]"
        category = "category_code"
        brand = "brand"
        price = "price"
    """
    shop = in_zone(tables, "UTC", mapping)
    put(shop.settings, "export/2019-Oct.csv.zst", bytes(packed))
    seen = profile(shop.spark, shop.settings)
    day = date(2019, 10, 1)
    assert (seen.first_day, seen.last_day) == (day, day)
    assert seen.days == {day: {"clean": 3, "rejected": 1, "duplicate": 0}}
    (reason,) = seen.reasons.items()
    assert (reason[0], reason[1].records) == ("unknown_behaviour", 1)
    assert reason[1].examples == (("2019-Oct.csv.zst", lines[3]),)
    assert not shop.settings.lake.exists()
    clean(shop, Interval.of_night(day))
    assert told(shop) == [
        ("u1", "1", "cart", "01 00:00:05", "01"),
        ("u1", "1", "purchase", "01 00:01:00", "01"),
        ("u1", "1", "view", "01 00:00:00", "01"),
    ]
    assert [e["quantity"] for e in shop.rows(EVENTS) if e["behaviour"] == "purchase"] == [1.0]
    assert {(i["item_id"], i["department"], i["brand"], i["price"]) for i in shop.rows(ITEMS)} == {
        ("1", "appliances", "acme2", 9.49), ("2", None, None, None),
    }  # fmt: skip


def test_nested_json_parquet_and_the_contracts_own_shape_give_the_same_events(
    tables: SparkLake, tmp_path: Path
) -> None:
    """In Tokyo, where the day begins at 15:00 UTC of the day before."""
    rows: list[dict[str, Any]] = [
        {"who": {"id": "ann"}, "what": {"sku": 1, "n": 2}, "at": "2017-12-23T00:00:00"},
        {"who": {"id": "ann"}, "what": {"sku": 2, "n": 1}, "at": "2017-12-23T23:59:59.5"},
        {"who": {"id": "bob"}, "what": {"sku": 1, "n": 1}, "at": "2017-12-23T15:00:00Z"},  # midnight there
        {"who": {"id": None}, "what": {"sku": 1, "n": 1}, "at": 1513954800},
        {"who": {"id": "cy"}, "what": {"sku": 2, "n": 1}, "at": 1513954800},  # and here it begins
    ]
    nested = """
        [logs]
        path = "shop"
        days = "log-%Y%m%d"
        [event]
        user_id = "who.id"
        item_id = "what.sku"
        event_time = "at"
        quantity = "what.n"
    """
    catalogue = '{"item_id": 1, "title": "Tea"}\n{"item_id": 2, "title": "Jam"}\n'
    shop = in_zone(tables, "Asia/Tokyo", nested)
    put(shop.settings, "landing/items/all.jsonl", catalogue)
    put(shop.settings, "shop/a+b/log-20171223.json", "".join(json.dumps(row) + "\n" for row in rows))
    night = Interval.of_night(date(2017, 12, 23))
    clean(shop, night)
    expected = [
        ("ann", "1", "purchase", "22 15:00:00", "23"),
        ("ann", "2", "purchase", "23 14:59:59", "23"),
        ("cy", "2", "purchase", "22 15:00:00", "23"),
    ]
    assert told(shop) == expected
    assert {(r["reason"], r["source_file"]) for r in shop.rows(EVENTS_REJECTED)} == {
        ("outside_interval", "a+b/log-20171223.json"), ("missing_user_id", "a+b/log-20171223.json"),
    }  # fmt: skip

    own = replace(shop, settings=shop.settings.model_copy(update={"home": tmp_path / "own"}))
    put(own.settings, "landing/items/all.jsonl", catalogue)
    flat = [
        {"user_id": row["who"]["id"], "item_id": row["what"]["sku"], "event_time": row["at"], "event_type": "purchase",
         "quantity": row["what"]["n"], "price": None, "session_id": None} for row in rows
    ]  # fmt: skip
    put(own.settings, "landing/events/ds=2017-12-23/a.jsonl", "".join(json.dumps(row) + "\n" for row in flat))
    clean(own, night)
    assert told(own) == expected
    assert [e["event_id"] for e in own.rows(EVENTS)] == [e["event_id"] for e in shop.rows(EVENTS)]
    seen = profile(own.spark, own.settings, night)
    assert seen.days == {night.ds: {"clean": 3, "rejected": 2, "duplicate": 0}}
    assert list(seen.reasons) == ["missing_user_id", "outside_interval"]

    # Parquet knows times itself: with a zone a moment, without one a time on the shop's clock
    put(own.settings, "mapping.toml", nested + "[catalogue]\ninline = true\n")
    frame = pd.DataFrame(rows[:1]).assign(at=pd.to_datetime(["2017-12-23T00:00:00"]))
    (own.settings.home / "shop").mkdir()
    frame.to_parquet(own.settings.home / "shop/log-20171223.parquet")
    frame.assign(at=frame["at"].dt.tz_localize("Asia/Tokyo")).to_parquet(
        own.settings.home / "shop/log-20171223b.parquet"
    )
    clean(own, night)
    assert told(own) == expected[:1]
    assert counts(own) == {"23": (2, 2, 1, 0, 1)}


def test_times_are_of_the_shops_clock_both_ways_of_summer_time(spark: SparkSession) -> None:
    zone = "Europe/Berlin"
    texts = {
        "2026-03-29 01:59:59": "2026-03-29 00:59:59",
        "2026-03-29T02:30": "2026-03-29 01:30:00",  # is not there: 03:30
        "2026-03-29T03:30": "2026-03-29 01:30:00",
        "2026-10-25 01:30:00": "2026-10-24 23:30:00",
        "2026-10-25T02:30:00.000": "2026-10-25 00:30:00",  # is there twice: the earlier one
        "2026-10-25T02:30:00+01:00": "2026-10-25 01:30:00",
        "2026-10-25 03:30:00": "2026-10-25 02:30:00",
        "2026-10-25T02:30:00Z": "2026-10-25 02:30:00",
        "2026-10-25T02:30:00 Asia/Tokyo": "2026-10-24 17:30:00",
        "2026-07-01": "2026-06-30 22:00:00",
        "1782864000": "2026-07-01 00:00:00",
    }
    patterned = [
        ("d.M.yyyy HH:mm", "25.10.2026 02:30", "2026-10-25 00:30:00"),
        ("d.M.yyyy HH:mm", "32.10.2026 02:30", None),
        ("M/d/yyyy h:mm a", "3/29/2026 2:30 AM", "2026-03-29 01:30:00"),
        ("yyyyMMddHHmmssXXX", "20260701000000+09:00", "2026-06-30 15:00:00"),
        ("yyyyMMdd", "20260701", "2026-06-30 22:00:00"),
    ]
    made = [parsed_time(F.lit(text), zone) for text in texts]
    made += [
        patterned_time(F.lit(text), Event(user_id="u", item_id="i", event_time="t", time_format=pattern), zone)
        for pattern, text, _ in patterned
    ]
    saturday, sunday = (datetime(2026, 3, day, 22, tzinfo=UTC) for day in (28, 29))
    days = [midnight(F.lit(date(2026, 3, 30)), zone), midnight(F.lit(date(2026, 10, 26)), zone)]
    days += [day_of(F.lit(moment), zone) for moment in (sunday, saturday)]
    row = (
        spark.range(1).select(*(value.cast("string").alias(f"v{n}") for n, value in enumerate([*made, *days]))).first()
    )
    require_pattern(spark, "d.M.yyyy HH:mm")
    with pytest.raises(
        SettingsError, match=r"event.time_format = 'yyyy-MM-ddd' in mapping.toml is no pattern of times"
    ):
        require_pattern(spark, "yyyy-MM-ddd")
    assert row is not None
    expected = [*texts.values(), *(time for _, _, time in patterned)]
    expected += ["2026-03-29 22:00:00", "2026-10-25 23:00:00", "2026-03-30", "2026-03-28"]
    assert list(row) == expected


def test_expressions_give_null_where_a_value_does_not_fit_and_dialects_are_read(tables: SparkLake) -> None:
    mapping = """
        [logs]
        path = "shop"
        encoding = "windows-1252"
        delimiter = "|"
        quote = "'"
        escape = "!"
        columns = ["who", "what", "raw", "broken", "note.x"]
        [event]
        user_id = "concat(who, '-', raw)"
        item_id = "cast(what AS int) / 0"
        event_time = "to_timestamp('2020-01-01 00:00:00')"
        event_type = "note.x"
        quantity = "cast(what AS int)"
        price = "cast(what AS double) + 0.5"
        session_id = "broken"
    """
    shop = in_zone(tables, "UTC", mapping)
    put(shop.settings, "shop/a.csv", "ann|5|'it!'s|€'|b|n\nbob|five|x\r\n".encode("windows-1252"))
    put(shop.settings, "landing/items/all.jsonl", '{"item_id": 1, "title": "Tea"}\n')
    landing = land(shop.settings, TWO_DAYS)
    fields = event_fields(landing.mapping)
    read = read_records(shop.spark, landing.event_files, landing.mapping.logs, fields)
    rows = sorted(read.collect(), key=lambda row: str(row["raw"]))
    assert [tuple(row) for row in rows] == [
        ("ann|5|'it!'s|€'|b|n", False, "a.csv", "ann-it's|€", None, "2020-01-01 00:00:00Z", "n", "5", "5.5", "b"),
        ("bob|five|x", True, "a.csv", "bob-x", None, "2020-01-01 00:00:00Z", None, None, None, None),
    ]
    assert shop.spark.conf.get("spark.sql.ansi.enabled") == "true"
    utf16 = mapping.replace("windows-1252", "utf-16").replace('path = "shop"', 'path = "utf16"')
    put(shop.settings, "mapping.toml", utf16)
    put(shop.settings, "utf16/a.csv", "ann|5|'Ċ!'s|€'|b|n\n\nbob|five|x\r\n".encode("utf-16"))
    landing = land(shop.settings, TWO_DAYS)
    read = read_records(shop.spark, landing.event_files, landing.mapping.logs, fields[:1])
    assert sorted(row["user_id"] for row in read.collect()) == ["ann-Ċ's|€", "bob-x"]
    lines = mapping.replace('"|"', '"::"').replace("[event]", "multiline = true\n[event]")
    put(shop.settings, "mapping.toml", lines.replace('path = "shop"', 'path = "lines"'))
    put(shop.settings, "lines/a.csv", "ann::5::'it!'s\n\n::'::b::n\r\nbob::5::x::b::n\n")
    landing = land(shop.settings, TWO_DAYS)
    read = read_records(shop.spark, landing.event_files, landing.mapping.logs, fields[:1])
    assert [file.records for file in landing.event_files] == [2]
    assert sorted((row["user_id"], row["raw"]) for row in read.collect()) == [
        ("ann-it's\n\n::", "ann::5::'it!'s\n\n::'::b::n"), ("bob-x", "bob::5::x::b::n"),
    ]  # fmt: skip
    array = [
        {"who": "ann", "what": 5, "raw": "é", "broken": None, "note.x": None},
        7,
        {"who": "bob", "raw": {"a": [1]}},
    ]
    put(
        shop.settings, "mapping.toml", lines.replace('path = "shop"', 'path = "array"').replace("windows-1252", "utf-8")
    )
    put(shop.settings, "array/a.json", json.dumps(array, indent=1))
    put(shop.settings, "array/b.json", '{"who": "eve", "raw": "line"}\n')
    landing = land(shop.settings, TWO_DAYS)
    read = read_records(shop.spark, landing.event_files, landing.mapping.logs, fields[:1])
    assert sorted((str(row["user_id"]), row["broken"], row["source_file"]) for row in read.collect()) == [
        ("None", True, "a.json"), ("ann-é", False, "a.json"), ('bob-{"a":[1]}', False, "a.json"),
        ("eve-line", False, "b.json"),
    ]  # fmt: skip
    put(shop.settings, "mapping.toml", mapping.replace("concat(who", "conkat(who"))
    landing = land(shop.settings, TWO_DAYS)
    with pytest.raises(
        SettingsError, match=r"event.user_id = .*conkat.* means nothing to Spark.*Columns found: who, what"
    ):
        read_records(shop.spark, landing.event_files, landing.mapping.logs, event_fields(landing.mapping))
