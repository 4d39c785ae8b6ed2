"""What a night finds of the days before it: missed days, days without logs, files that came late."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import notices
from contracts.cli import RESULT_FILE
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import Settings, Shop
from contracts.tables import INGEST_COUNTS, INGEST_FILES
from spark_jobs.ingest.gaps import gaps
from spark_jobs.land_events import Arguments, run
from tests.factories import NIGHT, counted
from tests.lakes import ArrowLake

LINE = json.dumps(dict.fromkeys(("event_time", "event_type", "user_id", "item_id", "quantity", "price", "session_id")))
OF_NIGHT = Interval.of_night(NIGHT)


def day(before: int) -> date:
    return NIGHT - timedelta(days=before)


def deliver(settings: Settings, ds: date, name: str = "a.jsonl", records: int = 1) -> Path:
    file = settings.landing / f"events/ds={ds}/{name}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((LINE + "\n") * records)
    os.utime(file, (1514000000, 1514000000))
    return file


def taken_in_from(file: Path, ds: date) -> dict[str, Any]:
    """A row of `ingest_files`."""
    stat = file.stat()
    name = f"ds={ds}/{file.name}"
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return {"ds": ds, "source_file": name, "records": 1, "bytes": stat.st_size, "modified": modified}


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    """A shop whose days up to the fifth before the night were taken in, and whose scheduler then stood still."""
    settings = arrow_lake.settings
    files = {day(n): deliver(settings, day(n)) for n in (0, 1, 2, 4, 5, 6, 7)}
    arrow_lake.write(INGEST_COUNTS, [counted(day(n), 1) for n in (5, 6, 7)])
    arrow_lake.write(INGEST_FILES, [taken_in_from(files[day(n)], day(n)) for n in (5, 6, 7)])
    (settings.landing / "items").mkdir()
    (settings.landing / "items/all.csv").write_text("item_id,title\nmilk,Milk\n")
    return arrow_lake


def with_ingest(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update=changes)})


def look(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `land_events` gives the steps after it."""
    monkeypatch.setenv(RESULT_FILE, str(tmp_path / "result.json"))
    run(settings, Arguments(start=OF_NIGHT.start, end=OF_NIGHT.end, run_id="r1"))
    return dict(json.loads((tmp_path / "result.json").read_text()))


def told(settings: Settings) -> dict[str, str]:
    return {each.notice.kind: each.notice.what for each in notices.of_run(settings, "r1")}


def test_days_that_no_run_took_in_are_seen(shop: ArrowLake) -> None:
    found = gaps(shop.settings, OF_NIGHT)
    assert (found.missed, found.absent, found.late) == ((day(4), day(2), day(1)), (day(3),), {})
    assert found.missed_in_words == "2017-12-19, 2017-12-21 … 2017-12-22 and 2017-12-20 without logs"
    closed = shop.settings.model_copy(update={"shop": Shop(closed_dates=(day(3), day(4)))})
    # a day on which the shop is closed needs no log, but may have one
    assert (gaps(closed, OF_NIGHT).missed, gaps(closed, OF_NIGHT).absent) == ((day(4), day(2), day(1)), ())
    near = with_ingest(shop.settings, look_back_days=1)
    assert (gaps(near, OF_NIGHT).missed, gaps(near, OF_NIGHT).too_old) == ((day(1),), (day(4), day(3), day(2)))
    assert gaps(near, OF_NIGHT).missed_in_words == (
        "2017-12-22 and 2017-12-19 … 2017-12-21, longer ago than [ingest] look_back_days"
    )


def test_days_before_the_first_one_ever_are_no_gap(shop: ArrowLake) -> None:
    assert gaps(shop.settings, Interval.of_night(day(6))).missed == ()
    shop.write(INGEST_COUNTS, [])
    assert gaps(shop.settings, OF_NIGHT).missed == ()


def test_the_night_takes_missed_days_in_first_and_says_so(
    shop: ArrowLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(shop.settings, tmp_path, monkeypatch) == {"also": "2017-12-19,2017-12-21,2017-12-22"}
    assert told(shop.settings) == {
        "hole": "No run has taken in 2017-12-19, 2017-12-21 … 2017-12-22 and 2017-12-20 without logs. This run takes "
        "in those that have logs, before its own day."
    }


@pytest.mark.parametrize(("name", "why"), [("a.jsonl", "has zero bytes"), ("notes.txt", "no known")])
def test_a_missed_day_that_cannot_be_read_is_left_out_and_people_are_told_why(
    shop: ArrowLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    deliver(shop.settings, day(2), name, records=0)
    assert look(shop.settings, tmp_path, monkeypatch) == {"also": "2017-12-19,2017-12-22"}
    what = told(shop.settings)["hole"]
    assert "before its own day, but leaves out 2017-12-21 (" in what
    assert why in what
    assert look(with_ingest(shop.settings, missed_days="report"), tmp_path, monkeypatch) == {"also": ""}


def test_a_late_file_that_cannot_be_read_leaves_its_day_as_it_is_and_people_are_told_so(
    shop: ArrowLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(shop.settings, day(5), "late.csv", records=0)
    look(shop.settings, tmp_path, monkeypatch)
    what = told(shop.settings)["late_files"]
    assert "again, but leaves out 2017-12-18 (" in what
    assert "late.csv" in what


def test_the_night_stops_or_goes_on_as_the_settings_say(
    shop: ArrowLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"Before the night 2017-12-23 no run has taken in 2017-12-19, .* Run these"):
        look(with_ingest(shop.settings, missed_days="stop"), tmp_path, monkeypatch)
    assert look(with_ingest(shop.settings, missed_days="report"), tmp_path, monkeypatch) == {"also": ""}
    assert any("They stay out" in each.notice.what for each in notices.of_run(shop.settings, "r1"))


def test_files_that_come_after_their_day_was_taken_in_are_late(
    shop: ArrowLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_ingest(shop.settings, look_back_days=6)
    shop.write(INGEST_COUNTS, [counted(day(n), 1) for n in range(1, 8)])
    deliver(settings, day(5), "late.jsonl")
    deliver(settings, day(6), records=2)  # another content under the same name
    deliver(settings, day(7), "late.jsonl")  # longer ago than is looked at
    # the fourth day was taken in by a version that wrote no files down
    assert gaps(settings, OF_NIGHT).late == {
        day(5): (f"ds={day(5)}/late.jsonl",), day(6): (f"ds={day(6)}/a.jsonl",),
    }  # fmt: skip
    assert look(settings, tmp_path, monkeypatch) == {"also": "2017-12-17,2017-12-18"}
    assert told(settings)["late_files"].startswith(
        "Files came after their day was taken in: 2017-12-17: 1 (ds=2017-12-17/a.jsonl); 2017-12-18: 1 ("
    )
    assert look(with_ingest(settings, late_files="report"), tmp_path, monkeypatch) == {"also": ""}


def test_a_log_of_a_day_that_had_none_is_late(shop: ArrowLake) -> None:
    shop.write(INGEST_COUNTS, [*(counted(day(n), 1) for n in (2, 3, 5, 6, 7)), counted(day(4), 0) | {"files": 0}])
    assert gaps(shop.settings, OF_NIGHT).late == {day(4): (f"ds={day(4)}/a.jsonl",)}
