"""Days come in by write, audit, publish: only what passes, once, in any order, and the catalogue by day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from contracts import catalogue, intake, lake
from contracts.catalogue import Edition
from contracts.cli import Days
from contracts.errors import QualityError
from contracts.settings import Settings
from contracts.tables import EVENTS, EVENTS_REJECTED, EVENTS_REPEATED, INGEST_COUNTS, INGEST_FILES, ITEMS
from spark_jobs import clean_events, validate
from spark_jobs.ingest.acceptance import accept, batch
from tests.ingesting import take_in
from tests.lakes import SparkLake

FIRST, SECOND, THIRD = (date(2017, 12, day) for day in (21, 22, 23))
CATALOGUE: list[dict[str, Any]] = [{"item_id": "milk", "title": "Milk"}, {"item_id": "tea", "title": "Tea"}]


def event(user: str, day: date, item: str = "milk") -> dict[str, Any]:
    moment = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    nothing = dict.fromkeys(("quantity", "price", "session_id"))
    return {"event_time": moment.isoformat(), "event_type": "view", "user_id": user, "item_id": item} | nothing


def deliver(settings: Settings, day: date, *records: dict[str, Any], name: str = "a.jsonl") -> None:
    put(settings, f"events/ds={day}/{name}", records)
    if not (settings.landing / "items").exists():
        put(settings, "items/all.jsonl", CATALOGUE)


def put(settings: Settings, name: str, records: Sequence[dict[str, Any]]) -> None:
    file = settings.landing / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def one(day: date, *also: date) -> Days:
    return Days(start=day, end=day + timedelta(days=1), also=also)


def gate(tables: SparkLake, day: date, *also: date) -> None:
    """The day through both steps."""
    clean_events.run(tables.spark, tables.settings, one(day, *also))
    told = one(day, *also)
    validate.run(tables.spark, tables.settings, validate.Arguments(start=told.start, end=told.end, also=told.also))


def users(tables: SparkLake, table: Any = EVENTS) -> set[tuple[str, str]]:
    if not lake.exists(tables.settings, table):
        return set()
    return {(str(row["ds"])[8:], row["user_id"]) for row in tables.rows(table)}


def balances(tables: SparkLake) -> dict[str, tuple[int, int, int, int]]:
    rows = tables.rows(INGEST_COUNTS)
    assert all(row["raw"] == row["clean"] + row["rejected"] + row["duplicates"] for row in rows)
    of_day = [row["ds"] for row in tables.rows(EVENTS)]
    assert {row["ds"]: row["clean"] for row in rows if row["clean"]} == {day: of_day.count(day) for day in set(of_day)}
    return {str(row["ds"])[8:]: (row["raw"], row["clean"], row["rejected"], row["duplicates"]) for row in rows}


def test_a_day_that_fails_its_gate_reaches_no_table_and_comes_in_once_it_is_corrected(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST))
    gate(tables, FIRST)
    before = [tables.rows(table) for table in (EVENTS, ITEMS, INGEST_COUNTS, EVENTS_REJECTED)]
    deliver(settings, SECOND, event("bob", SECOND), event("", SECOND))  # half of it is rejected
    put(settings, "items/all.jsonl", [*CATALOGUE, {"item_id": "jam", "title": "Jam"}])
    for _ in range(2):  # the gate says the same of the same logs
        with pytest.raises(QualityError, match="Nothing of it is taken in or published"):
            gate(tables, SECOND)
        assert [tables.rows(table) for table in (EVENTS, ITEMS, INGEST_COUNTS, EVENTS_REJECTED)] == before
    # what was refused can be looked at
    assert intake.cleaned(settings)[SECOND]["rejected"] == 1
    assert {reason for (day, reason) in intake.rejected_by_day(settings, everything()) if day == SECOND} == {
        "missing_user_id"
    }
    deliver(settings, SECOND, event("bob", SECOND), event("cat", SECOND))
    gate(tables, SECOND)
    assert users(tables) == {("21", "ann"), ("22", "bob"), ("22", "cat")}
    assert {row["item_id"] for row in catalogue.arrow(settings, Edition(SECOND), ["item_id"]).to_pylist()} == {
        "milk",
        "tea",
        "jam",
    }
    assert intake.nights(settings) == []
    # delivered again, and worse: what was good stays
    deliver(settings, SECOND, event("", SECOND))
    with pytest.raises(QualityError):
        gate(tables, SECOND)
    assert users(tables) == {("21", "ann"), ("22", "bob"), ("22", "cat")}


def everything() -> Any:
    import pyarrow.dataset as pads

    return pads.scalar(value=True)


def test_validating_again_judges_what_was_taken_in(tables: SparkLake) -> None:
    deliver(tables.settings, FIRST, event("ann", FIRST))
    gate(tables, FIRST)
    told = one(FIRST)
    validate.run(tables.spark, tables.settings, validate.Arguments(start=told.start, end=told.end, run_id="again"))
    assert users(tables) == {("21", "ann")}


def test_an_event_counts_once_in_whichever_order_its_days_come_in(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST), event("bob", FIRST))
    deliver(settings, SECOND, event("ann", FIRST), event("cat", SECOND))
    deliver(settings, THIRD, event("ann", FIRST), event("cat", SECOND), event("dan", THIRD))
    expected = {("21", "ann"), ("21", "bob"), ("22", "cat"), ("23", "dan")}
    for order in ((THIRD, FIRST, SECOND), (SECOND, THIRD, FIRST), (THIRD, SECOND, FIRST)):
        for table in (EVENTS, EVENTS_REPEATED, EVENTS_REJECTED, INGEST_COUNTS, INGEST_FILES):
            if lake.exists(settings, table):
                tables.write(table, [])
        for day in order:
            take_in(tables, one(day))
        assert users(tables) == expected, order
        assert balances(tables) == {"21": (2, 2, 0, 0), "22": (2, 1, 0, 1), "23": (3, 1, 0, 2)}, order
    # as one history, and again
    for _ in range(2):
        take_in(tables, Days(start=FIRST, end=THIRD + timedelta(days=1)))
        assert users(tables) == expected
    assert users(tables, EVENTS_REPEATED) == {("22", "ann"), ("23", "ann"), ("23", "cat")}


def test_a_day_delivered_anew_gives_back_what_it_no_longer_has(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST), event("bob", FIRST))
    deliver(settings, SECOND, event("ann", FIRST), event("cat", SECOND))
    deliver(settings, THIRD, event("ann", FIRST), event("dan", THIRD))
    for day in (FIRST, SECOND, THIRD):
        take_in(tables, one(day))
    deliver(settings, FIRST, event("bob", FIRST))
    take_in(tables, one(FIRST))
    assert users(tables) == {("21", "bob"), ("22", "ann"), ("22", "cat"), ("23", "dan")}
    assert balances(tables) == {"21": (1, 1, 0, 0), "22": (2, 2, 0, 0), "23": (2, 1, 0, 1)}
    deliver(settings, SECOND, event("cat", SECOND))
    take_in(tables, one(SECOND))
    assert users(tables) == {("21", "bob"), ("22", "cat"), ("23", "ann"), ("23", "dan")}
    deliver(settings, FIRST, event("ann", FIRST), event("bob", FIRST))
    take_in(tables, one(FIRST))
    assert users(tables) == {("21", "ann"), ("21", "bob"), ("22", "cat"), ("23", "dan")}
    assert balances(tables) == {"21": (2, 2, 0, 0), "22": (1, 1, 0, 0), "23": (2, 1, 0, 1)}


def test_a_kill_between_any_two_commits_loses_nothing(tables: SparkLake, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST))
    deliver(settings, SECOND, event("ann", FIRST), event("bob", SECOND))
    take_in(tables, one(SECOND))
    clean_events.run(tables.spark, settings, one(FIRST))
    whole, small = lake.replace, lake.replace_small
    for killed_at in range(8):
        left = [killed_at]

        def count_down(left: list[int] = left) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1

        def dies(*told: Any, **named: Any) -> None:
            count_down()
            whole(*told, **named)

        def dies_small(*told: Any, **named: Any) -> None:
            count_down()
            small(*told, **named)

        with monkeypatch.context() as patch:
            patch.setattr(lake, "replace", dies)
            patch.setattr(lake, "replace_small", dies_small)
            try:
                accept(tables.spark, settings, FIRST, batch(tables.spark, settings, FIRST, one(FIRST).interval))
            except KeyboardInterrupt:
                assert FIRST not in intake.accepted(settings)
            else:
                break
    assert killed_at > 4
    assert users(tables) == {("21", "ann"), ("22", "bob")}
    assert balances(tables) == {"21": (1, 1, 0, 0), "22": (2, 1, 0, 1)}


def test_earlier_days_come_in_first_each_for_itself(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("", FIRST))  # this one fails the gate
    deliver(settings, SECOND, event("bob", SECOND))
    deliver(settings, THIRD, event("bob", SECOND), event("cat", THIRD))
    gate(tables, THIRD, FIRST, SECOND)
    assert users(tables) == {("22", "bob"), ("23", "cat")}
    assert sorted(intake.accepted(settings)) == [SECOND, THIRD]
    assert sorted(intake.cleaned(settings)) == [FIRST, SECOND, THIRD]  # what is left out can be looked at
    deliver(settings, FIRST, event("ann", FIRST))
    gate(tables, FIRST)
    assert users(tables) == {("21", "ann"), ("22", "bob"), ("23", "cat")}
    assert intake.nights(settings) == []


def test_the_catalogue_has_a_version_a_day_and_an_old_day_leaves_the_newer_ones_alone(tables: SparkLake) -> None:
    settings = tables.settings

    def titles(night: date) -> dict[str, str]:
        made = catalogue.arrow(settings, Edition(night), ["item_id", "title"]).to_pylist()
        assert {row["item_id"] for row in catalogue.frame(tables.spark, settings, Edition(night)).collect()} == {
            row["item_id"] for row in made
        }
        return {row["item_id"]: row["title"] for row in made}

    for day in (FIRST, SECOND, THIRD):
        deliver(settings, day, event("ann", day))
    put(settings, f"items/ds={FIRST}/all.jsonl", CATALOGUE)
    put(settings, f"items/ds={THIRD}/all.jsonl", [{"item_id": "milk", "title": "Milk, new"}])
    gate(tables, THIRD)
    assert titles(THIRD) == {"milk": "Milk, new"}
    gate(tables, SECOND)  # an old day: its catalogue is that of the 21st
    assert titles(THIRD) == {"milk": "Milk, new"}
    assert titles(SECOND) == {"milk": "Milk", "tea": "Tea"} == titles(FIRST)
    assert titles(FIRST - timedelta(days=9)) == titles(FIRST)  # nothing better is known
    # one that tells no day is of the time of the run: no old night gets it
    (settings.landing / f"items/ds={THIRD}/all.jsonl").unlink()
    (settings.landing / f"items/ds={FIRST}/all.jsonl").unlink()
    put(settings, "items/all.jsonl", [{"item_id": "milk", "title": "Milk of today"}])
    gate(tables, SECOND)
    assert titles(SECOND) == {"milk": "Milk", "tea": "Tea"}
    gate(tables, THIRD)
    assert titles(THIRD) == {"milk": "Milk of today"}
    assert titles(SECOND) == {"milk": "Milk", "tea": "Tea"}
