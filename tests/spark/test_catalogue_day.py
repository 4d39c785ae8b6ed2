"""A catalogue that tells no day: which night gets it, and that it never changes what earlier nights had."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from contracts import catalogue
from contracts.catalogue import Edition
from contracts.cli import Days
from contracts.interval import Interval
from contracts.tables import INGEST_COUNTS, ITEMS
from spark_jobs.ingest.items import day_to_write
from tests.factories import counted, item
from tests.ingesting import take_in
from tests.lakes import SparkLake


def day(number: int) -> date:
    """A day of the story; those before the 1st lie in the month before."""
    return date(2017, 12, 1) + timedelta(days=number - 1)


def interval(start: int, last: int) -> Interval:
    return Interval(day(start), day(last + 1))


@pytest.mark.parametrize(
    ("versions", "accepted", "run", "written"),
    [
        pytest.param([], [], (23, 23), 23, id="the first night of all"),
        pytest.param([], [], (1, 22), 1, id="a history's days all have it"),
        pytest.param([], [25], (23, 23), 23, id="there is no catalogue at all, whatever was taken in"),
        pytest.param([21], [21, 22], (23, 23), 23, id="the newest night"),
        pytest.param([21], [21, 22, 23], (23, 23), 23, id="the newest night again"),
        pytest.param([23], [21, 22, 23], (23, 23), 23, id="the newest night again, whose version is replaced"),
        pytest.param([1], [1, 2, 3], (1, 22), 22, id="a history that goes on changes none of its first days"),
        pytest.param([21], [21, 22, 23], (22, 22), None, id="a later night was taken in with the same catalogue"),
        pytest.param([22], [22, 23], (22, 22), None, id="its own version is what the later night has too"),
        pytest.param([22], [22], (20, 20), None, id="before the first version"),
        pytest.param([22], [22], (1, 20), None, id="a history before the first version"),
        pytest.param([21, 23], [21, 22, 23], (22, 22), None, id="a later night has its own version"),
    ],
)
def test_a_catalogue_without_a_day_is_the_newest_nights(
    tables: SparkLake, versions: list[int], accepted: list[int], run: tuple[int, int], written: int | None
) -> None:
    if versions:
        tables.write(ITEMS, [item("milk", ds=day(each)) for each in versions])
    tables.write(INGEST_COUNTS, [counted(day(each), 1) for each in accepted])
    found = day_to_write(tables.settings, interval(*run), None, "another catalogue")
    assert found == (None if written is None else day(written))
    # as it was when the newest of its versions was written: nothing has to be
    if versions and written is not None:
        assert day_to_write(tables.settings, interval(*run), None, "a test") is None


def test_a_night_that_runs_again_keeps_the_catalogue_and_leaves_the_later_ones_theirs(tables: SparkLake) -> None:
    settings = tables.settings
    events = settings.landing / "events"

    def title(number: int) -> str:
        (row,) = catalogue.arrow(settings, Edition(day(number)), ["title"]).to_pylist()
        return str(row["title"])

    def night(number: int, named: str) -> None:
        for place, record in (
            (settings.landing / "items", {"item_id": "tea", "title": named}),
            (events / f"ds={day(number)}", {"event_time": f"{day(number)}T10:00:00Z", "event_type": "view"}),
        ):
            place.mkdir(parents=True, exist_ok=True)
            whole = {"user_id": "ann", "item_id": "tea", "quantity": 1, "price": 1, "session_id": "s"} | record
            (place / "all.jsonl").write_text(json.dumps(whole if place != settings.landing / "items" else record))
        take_in(tables, Days(start=day(number), end=day(number + 1)))

    night(21, "old")
    night(22, "old")
    night(23, "old")
    night(22, "new")  # run again, and before the first one that there is
    night(20, "new")
    assert [title(number) for number in (20, 21, 22, 23)] == ["old"] * 4
    night(24, "new")
    assert [title(number) for number in (20, 21, 22, 23, 24)] == ["old"] * 4 + ["new"]
