"""Hindsight of days that have landed but not been ingested: the log files give what the tables will give."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from contracts import lake
from contracts.cli import Days
from contracts.settings import Settings
from contracts.tables import EVENTS, HINDSIGHT_RESULTS, INGEST_COUNTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from spark_jobs import hindsight
from spark_jobs.reporting.hindsight import FROM_EVENTS, FROM_LANDING, LISTS, Hindsight, window
from spark_jobs.reporting.hindsight_table import kept, remembered
from tests.factories import counted, event, item, noon, publication, ranked, recommended
from tests.ingesting import take_in
from tests.lakes import ArrowLake, SparkLake

NIGHT = date(2017, 12, 10)
AFTER = window(NIGHT).days
ITEM_IDS = ("milk", "tea", "ham", "jam")
GOOD: dict[str, Any] = {
    "event_time": "2017-12-11T10:00:00Z",
    "event_type": "purchase",
    "user_id": "ann",
    "item_id": "milk",
    "quantity": 1,
    "price": 0.99,
    "session_id": "s1",
}


def record(user: str, item_id: str, day: date, **changes: object) -> dict[str, Any]:
    return GOOD | {"user_id": user, "item_id": item_id, "event_time": f"{day}T10:00:00Z"} | changes


def folder(settings: Settings, day: date) -> Path:
    made = settings.landing / "events" / f"ds={day}"
    made.mkdir(parents=True, exist_ok=True)
    return made


def json_lines(*records: dict[str, Any] | str) -> bytes:
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records).encode()


def land_all_but_the_last(settings: Settings) -> None:
    """A log a day, in every format, with all that makes a record no event."""
    first, second, third, fourth, fifth, sixth, _ = AFTER
    dirt: list[dict[str, Any] | str] = [
        "{broken",
        record("bob", "tea", first, quantity=0),
        record("bob", "tea", first, event_type="stare"),
        record("bob", "tea", first, event_time="yesterday"),
        record("bob", "tea", first, event_time=f"{first + timedelta(days=1)}T00:00:00Z"),
        record("bob", "caviar", first),
        record("", "tea", first),
    ]
    good = [record("ann", "milk", first), record("ann", "milk", first), record("bob", "tea", first, event_type="view")]
    (folder(settings, first) / "log.jsonl.gz").write_bytes(gzip.compress(json_lines(*dirt, *good)))
    # 501 events in an hour: a bot, whatever it has a list for
    bot = [record("bot", "tea", second, session_id=f"b{n}") for n in range(501)]
    late = record("cleo", "tea", NIGHT)  # happened before the window
    (folder(settings, second) / "log.ndjson").write_bytes(json_lines(*bot, late))
    typed = pd.DataFrame([record("cleo", item_id, third, event_time=noon(third)) for item_id in ("ham", "tea")])
    typed.to_parquet(folder(settings, third) / "log.parquet")
    (folder(settings, fourth) / "closed.jsonl").write_bytes(b"")
    header = ",".join(GOOD)
    lines = f"{header}\n{int(noon(fifth).timestamp())}, Purchase ,dora, jam,2,0.5,\n"
    (folder(settings, fifth) / "log.csv.gz").write_bytes(gzip.compress(lines.encode()))
    (folder(settings, sixth) / "log.json").write_bytes(json_lines(record(" ann", "ham", sixth, quantity="1.0")))


def land_the_last(settings: Settings) -> None:
    (folder(settings, AFTER[-1]) / "log.csv").write_text(
        f"{','.join(GOOD)}\n{AFTER[-1]}T23:00:00Z,purchase,ann,tea,1,,\n{AFTER[-1]}T23:00:00Z,purchase,eve,tea,,,\n"
    )


@pytest.fixture
def shop(settings: Settings) -> Settings:
    """A published night; the days after it have not been ingested."""
    catalogue = settings.landing / "items" / "catalogue.jsonl"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_bytes(json_lines(*({"item_id": item, "title": item} for item in ITEM_IDS)))
    tables = ArrowLake(settings)
    tables.write(ITEMS, [item(item_id) for item_id in ITEM_IDS])
    tables.write(EVENTS, [event("ann", "milk", noon(NIGHT)), event("bob", "tea", noon(NIGHT))])
    tables.write(INGEST_COUNTS, [counted(NIGHT, 2)])
    lists = {"ann": ("milk", "tea"), "cleo": ("jam", "ham")} | dict.fromkeys(("bob", "bot", "dora", "eve"), ("tea",))
    rows = [
        recommended(user, ranked(*((item_id, 1.0, "match", None) for item_id in items)), ds=NIGHT)
        for user, items in lists.items()
    ]
    tables.write(RECOMMENDATIONS, rows)
    tables.write(PUBLICATIONS, [publication(NIGHT)])
    return settings


@pytest.fixture
def sessions(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The test's own session stands for those that the command opens, and counts them."""
    opened: list[str] = []

    @contextmanager
    def session(name: str, settings: Settings, *, java_options: str) -> Iterator[SparkSession]:
        opened.append(name)
        yield spark

    monkeypatch.setattr("spark_jobs.cluster.session.session", session)
    return opened


@pytest.fixture
def told(shop: Settings, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What the command prints."""

    def run() -> str:
        capsys.readouterr()
        hindsight.run(shop, hindsight.Arguments(ds=NIGHT, landing=True))
        return capsys.readouterr().out

    return run


def in_table(shop: Settings) -> Hindsight:
    result = kept(shop, NIGHT, "c0ffee")
    assert result is not None
    return result


def test_log_files_give_the_same_as_the_tables_that_replace_them(
    spark: SparkSession, shop: Settings, sessions: list[str], told: Callable[[], str]
) -> None:
    land_all_but_the_last(shop)
    assert "source: log files of 2017-12-11 to 2017-12-17, none for 2017-12-17\n" in told()
    # a part of the window is no result to keep
    assert lake.count(shop, HINDSIGHT_RESULTS) == 0

    land_the_last(shop)
    shown = told()
    assert "source: log files of 2017-12-11 to 2017-12-17\n" in shown
    landed = in_table(shop)
    assert (landed.source, landed.users, landed.users_with_list) == (FROM_LANDING, 3, 6)
    # ann: milk, tea of milk, tea, ham; cleo: ham of ham, tea; dora: nothing of jam
    assert landed.values[LISTS]["recall@10"].mean == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)

    assert sessions == ["hindsight"] * 2
    assert told() == shown
    assert sessions == ["hindsight"] * 2

    take_in(SparkLake(shop, spark), Days(start=AFTER[0], end=window(NIGHT).end, allow_empty=True))
    ingested = remembered(shop, NIGHT, "c0ffee")
    assert ingested.source == FROM_EVENTS
    assert (ingested.users, ingested.values, ingested.gains) == (landed.users, landed.values, landed.gains)
    assert in_table(shop) == ingested
    assert "source: table events\n" in told()
    assert sessions == ["hindsight"] * 2


def test_days_that_have_not_landed_may_lie_between_others(
    shop: Settings, sessions: list[str], told: Callable[[], str]
) -> None:
    first, _, third, *_ = AFTER
    (folder(shop, first) / "log.jsonl").write_bytes(json_lines(record("ann", "milk", first)))
    (folder(shop, third) / "log.jsonl").write_bytes(json_lines(record("ann", "ham", third)))
    without = ", ".join(str(day) for day in AFTER if day not in (first, third))
    shown = told()
    assert f"none for {without}\n" in shown
    assert "1 of 6 users" in shown
