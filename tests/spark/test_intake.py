"""Days come in by write, audit, publish: only what passes, once, in any order, and the catalogue by day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from contracts import catalogue, intake, lake
from contracts.catalogue import Edition
from contracts.cli import Days
from contracts.errors import InputError, QualityError
from contracts.settings import Settings
from contracts.tables import (
    EVENTS,
    EVENTS_REJECTED,
    EVENTS_REPEATED,
    INGEST_COUNTS,
    INGEST_FILES,
    ITEMS,
    Table,
    waiting_table,
)
from spark_jobs import clean_events, validate
from spark_jobs.ingest.acceptance import accept, batch, settle
from spark_jobs.ingest.gaps import gaps
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


def map_logs(settings: Settings, days: str, catalogue: str) -> None:
    """Writes a `mapping.toml` that says how the paths of the logs tell the day, and where the catalogue is."""
    columns = "\n".join(f'{name} = "{name}"' for name in ("user_id", "item_id", "event_time", "event_type"))
    settings.home.mkdir(exist_ok=True)
    text = f'[logs]\npath = "landing/events"\n{days}\n[event]\n{columns}\n{catalogue}\n'
    (settings.home / "mapping.toml").write_text(text)


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
    assert {reason for (day, reason) in intake.rejected_by_day(settings) if day == SECOND} == {"missing_user_id"}
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
    for order in ((THIRD, FIRST, SECOND), (SECOND, THIRD, FIRST)):
        for table in (EVENTS, EVENTS_REPEATED, EVENTS_REJECTED, INGEST_COUNTS, INGEST_FILES):
            if lake.exists(settings, table):
                tables.write(table, [])
        for day in order:
            take_in(tables, one(day))
        assert users(tables) == expected, order
        assert balances(tables) == {"21": (2, 2, 0, 0), "22": (2, 1, 0, 1), "23": (3, 1, 0, 2)}, order
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


class Killed(BaseException):
    """What a kill looks like from inside."""


@contextmanager
def killed_at(write: int, of: Table | None = None) -> Iterator[None]:
    """Kills the block at one of its writes to tables, or to one of them, counted from 0."""
    left = [write]

    def dying(function: Any) -> Any:
        def dies(*told: Any, **named: Any) -> None:
            if of is None or of in told:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
            function(*told, **named)

        return dies

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "replace_small"):
            patch.setattr(lake, name, dying(getattr(lake, name)))
        yield


def kill_everywhere(run: Callable[[], None], check: Callable[[], None]) -> int:
    """Runs, killed at the first write, then at the second, and so on until it ends; how many kills that took."""
    for write in range(30):
        try:
            with killed_at(write):
                run()
        except Killed:
            check()
        else:
            return write
    raise AssertionError


@pytest.mark.parametrize("again", [False, True])
def test_a_kill_between_any_two_commits_loses_nothing(tables: SparkLake, *, again: bool) -> None:
    settings = tables.settings
    if again:
        deliver(settings, FIRST, event("zed", FIRST))
        take_in(tables, one(FIRST))
    deliver(settings, FIRST, event("ann", FIRST))
    deliver(settings, SECOND, event("ann", FIRST), event("bob", SECOND))
    take_in(tables, one(SECOND))
    clean_events.run(tables.spark, settings, one(FIRST))

    def taken_in() -> None:
        accept(tables.spark, settings, FIRST, batch(tables.spark, settings, FIRST, one(FIRST).interval))

    def check() -> None:
        # a day that has counts is whole, be it the one of before; one that has none comes in with the next night
        if FIRST in intake.accepted(settings):
            assert ("21", "zed") in users(tables)

    assert kill_everywhere(taken_in, check) > 4
    assert users(tables) == {("21", "ann"), ("22", "bob")}
    assert balances(tables) == {"21": (1, 1, 0, 0), "22": (2, 1, 0, 1)}


def test_what_a_killed_run_has_left_of_a_later_day_changes_nothing(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST))
    deliver(settings, SECOND, event("ann", FIRST), event("bob", SECOND))
    deliver(settings, THIRD, event("cat", THIRD))
    take_in(tables, one(THIRD))
    clean_events.run(tables.spark, settings, one(SECOND))
    of_second = batch(tables.spark, settings, SECOND, one(SECOND).interval)
    with pytest.raises(Killed), killed_at(0, of=INGEST_COUNTS):
        accept(tables.spark, settings, SECOND, of_second)
    assert users(tables) == {("22", "ann"), ("22", "bob"), ("23", "cat")}
    assert SECOND not in intake.accepted(settings)
    take_in(tables, one(THIRD, FIRST, SECOND))
    assert users(tables) == {("21", "ann"), ("22", "bob"), ("23", "cat")}
    balances(tables)


def test_a_kill_while_a_night_is_settled_is_healed_by_running_it_again(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("zed", FIRST))
    gate(tables, FIRST)
    deliver(settings, SECOND, event("", SECOND))  # it fails its gate, and is left out
    deliver(settings, THIRD, event("cat", THIRD))
    clean_events.run(tables.spark, settings, one(THIRD, SECOND))
    expected = {("21", "zed"), ("23", "cat")}
    told = one(THIRD, SECOND)

    def validated(*, allow_empty: bool = False) -> None:
        of = validate.Arguments(start=told.start, end=told.end, also=told.also, allow_empty=allow_empty)
        validate.run(tables.spark, settings, of)

    accept(tables.spark, settings, THIRD, batch(tables.spark, settings, THIRD, told.interval))
    settled = partial(settle, settings, THIRD, [told.interval])
    assert kill_everywhere(settled, lambda: validated(allow_empty=True)) < 3
    validated()
    assert users(tables) == expected
    assert sorted(intake.cleaned(settings)) == [FIRST, SECOND, THIRD]


def test_a_night_leaves_alone_what_another_run_still_cleans(tables: SparkLake) -> None:
    settings = tables.settings
    for day in (FIRST, SECOND):
        deliver(settings, day, event("ann", day))
    gate(tables, FIRST)
    deliver(settings, FIRST, event("bob", FIRST))
    small = lake.replace_small
    beside: list[date] = []

    def and_meanwhile(to: Settings, table: Any, *told: Any) -> None:
        small(to, table, *told)
        if table.name == waiting_table(INGEST_FILES, FIRST).name and not beside:
            beside.append(SECOND)
            gate(tables, SECOND)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake, "replace_small", and_meanwhile)
        gate(tables, FIRST)
    assert beside
    assert users(tables) == {("21", "bob"), ("22", "ann")}


def test_a_file_that_is_delivered_anew_while_it_is_read_is_late(
    tables: SparkLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, balanced = tables.settings, clean_events.balance

    def and_meanwhile(*told: Any) -> Any:
        made = balanced(*told)
        deliver(settings, FIRST, event("ann", FIRST), event("bob", FIRST))
        return made

    deliver(settings, FIRST, event("ann", FIRST))
    monkeypatch.setattr(clean_events, "balance", and_meanwhile)
    gate(tables, FIRST)
    assert users(tables) == {("21", "ann")}
    assert gaps(settings, one(SECOND).interval).late == {FIRST: (f"ds={FIRST}/a.jsonl",)}


def test_what_was_refused_is_forgotten_once_another_night_takes_it_in(tables: SparkLake) -> None:
    settings = tables.settings
    deliver(settings, FIRST, event("ann", FIRST))
    deliver(settings, SECOND, event("", SECOND))
    with pytest.raises(QualityError):
        gate(tables, SECOND, FIRST)
    assert users(tables) == {("21", "ann")}
    deliver(settings, SECOND, event("bob", SECOND))
    deliver(settings, THIRD, event("cat", THIRD))
    gate(tables, THIRD, SECOND)
    assert intake.cleaned(settings) == intake.accepted(settings)
    assert intake.nights(settings) == []
    assert intake.rejected_by_day(settings) == {}


def test_a_history_again_does_not_empty_days_whose_logs_are_gone(tables: SparkLake) -> None:
    settings = tables.settings
    for day in (FIRST, SECOND, THIRD):
        deliver(settings, day, event("ann", day))
    history = Days(start=FIRST, end=THIRD + timedelta(days=1))
    take_in(tables, history)
    shutil.rmtree(settings.landing / f"events/ds={FIRST}")
    with pytest.raises(InputError, match="no records any more of 2017-12-21, which are in the tables"):
        take_in(tables, history)
    assert users(tables) == {("21", "ann"), ("22", "ann"), ("23", "ann")}
    take_in(tables, replace(history, allow_empty=True))
    assert users(tables) == {("22", "ann"), ("23", "ann")}


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


def test_an_earlier_day_that_an_export_does_not_have_is_left_out(tables: SparkLake) -> None:
    settings = tables.settings
    map_logs(settings, "", '[catalogue]\npath = "landing/items"')
    put(settings, "items/all.jsonl", CATALOGUE)
    put(settings, "events/all.jsonl", [event("ann", FIRST), event("cat", THIRD)])
    gate(tables, FIRST)
    gate(tables, THIRD, SECOND)
    assert users(tables) == {("21", "ann"), ("23", "cat")}
    assert sorted(intake.accepted(settings)) == [FIRST, THIRD]


def test_a_day_without_logs_leaves_a_catalogue_of_log_records_as_it_was(tables: SparkLake) -> None:
    settings = tables.settings
    map_logs(settings, 'days = "ds=%Y-%m-%d/"', '[catalogue]\ninline = true\n[item]\ntitle = "item_id"')
    deliver(settings, FIRST, event("ann", FIRST))
    gate(tables, FIRST)
    days: dict[str, Any] = {"start": SECOND, "end": THIRD, "allow_empty": True}
    clean_events.run(tables.spark, settings, Days(**days))
    validate.run(tables.spark, settings, validate.Arguments(**days))
    assert sorted(intake.accepted(settings)) == [FIRST, SECOND]
    assert catalogue.arrow(settings, Edition(SECOND), ["item_id"]).to_pylist() == [{"item_id": "milk"}]
