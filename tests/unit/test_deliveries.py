"""When a day's delivery is complete, by each rule, and what is said of one that is not."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InputError, NightshiftError, SettingsError
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from spark_jobs.ingest.deliveries import Delivery, delivery, land_delivered

DAY = date(2017, 12, 23)
NIGHT = Interval.of_night(DAY)
# of a shop in Berlin, whose day ends an hour before that of UTC
END = datetime(2017, 12, 23, 23, tzinfo=UTC)
LINE = (
    '{"event_time":"2017-12-23T10:00:00Z","event_type":"purchase","user_id":"ann","item_id":"milk","quantity":1,'
    '"price":null,"session_id":null}\n'
)
MANIFEST = "_MANIFEST.json"


def shop(settings: Settings, rule: str, mapping: str = "", **more: Any) -> Settings:
    """A home whose deliveries follow a rule, and its catalogue."""
    told = "".join(f"{name} = {json.dumps(value)}\n" for name, value in more.items())
    put(settings, "landing/items/catalogue.jsonl", '{"item_id":"milk","title":"Milk"}\n')
    calendar = '[shop]\ntime_zone = "Europe/Berlin"\nclosed_dates = ["2017-12-25"]\n'
    put(settings, "nightshift.toml", f'{calendar}[delivery]\ncomplete_when = "{rule}"\n{told}')
    if mapping:
        put(settings, "mapping.toml", mapping)
    return load_settings({"NIGHTSHIFT_HOME": str(settings.home)})


def put(settings: Settings, name: str, content: str, written: datetime | None = None) -> Path:
    file = settings.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    if written:
        os.utime(file, (written.timestamp(), written.timestamp()))
    return file


def put_log(settings: Settings, name: str = "a.jsonl", records: int = 1, day: date = DAY) -> Path:
    return put(settings, f"landing/events/ds={day}/{name}", LINE.replace(str(DAY), str(day)) * records)


def put_manifest(settings: Settings, told: object) -> Path:
    return put(settings, f"landing/events/ds={DAY}/{MANIFEST}", told if isinstance(told, str) else json.dumps(told))


def waits(found: Delivery, *words: str) -> None:
    """A delivery is not complete, and all ``words`` say why."""
    assert not found.complete
    for word in words:
        assert word in found.why


def refused(settings: Settings, *words: str, interval: Interval = NIGHT, now: datetime | None = None) -> None:
    """A run by hand takes nothing of it in, and all ``words`` say why."""
    with pytest.raises(NightshiftError) as error:
        land_delivered(settings, interval, now=now)
    for word in words:
        assert word in str(error.value)


def test_by_default_a_day_is_complete_that_is_over_and_has_a_file(settings: Settings) -> None:
    settings = shop(settings, "files")
    waits(delivery(settings, DAY, END), f"0 log files of 2017-12-23 in {settings.landing / 'events'}")
    put_log(settings)
    waits(delivery(settings, DAY, END - timedelta(seconds=1)), "the day ends at 2017-12-24 00:00 (Europe/Berlin)")
    assert delivery(settings, DAY, END).complete
    assert land_delivered(settings, NIGHT, now=END).raw == {DAY: 1}
    refused(settings, "The delivery of 2017-12-23 is not complete: the day ends at", now=END - timedelta(seconds=1))


def test_a_day_without_any_file_is_refused_as_ever(settings: Settings) -> None:
    put_log(settings, day=DAY - timedelta(days=1))
    for rule in ("files", "success_file", "manifest", "quiet"):
        refused(shop(settings, rule), "No log has arrived for 2017-12-23", "2017-12-22", now=END)


def test_nothing_is_waited_for_when_the_shop_is_closed_or_the_run_says_so(settings: Settings) -> None:
    settings = shop(settings, "success_file")
    assert delivery(settings, date(2017, 12, 25), END + timedelta(days=2)).complete
    assert delivery(settings, DAY, END, allow_empty=True).complete
    put_log(settings)
    assert land_delivered(settings, NIGHT, allow_empty=True, now=END).raw == {DAY: 1}


def test_nothing_of_a_day_that_is_not_over_is_complete(settings: Settings) -> None:
    put(settings, "landing/events/ds=2017-12-23/_SUCCESS", "")
    put_log(settings)
    early = END - timedelta(hours=2)
    for rule in ("files", "success_file", "manifest", "quiet"):
        settings = shop(settings, rule)
        for allow_empty in (False, True):
            found = delivery(settings, DAY, early, allow_empty=allow_empty)
            waits(found, "the day ends at 2017-12-24 00:00 (Europe/Berlin)")
            with pytest.raises(InputError, match=r"of 2017-12-23 is not complete: the day ends at 2017-12-24 00:00"):
                land_delivered(settings, NIGHT, allow_empty=allow_empty, now=early)
    # nor of one on which the shop is closed
    waits(delivery(settings, date(2017, 12, 25), END), "the day ends at 2017-12-26 00:00 (Europe/Berlin)")


def test_a_marker_file_in_the_folder_of_the_day(settings: Settings) -> None:
    settings = shop(settings, "success_file")
    put_log(settings)
    put(settings, "landing/events/ds=2017-12-22/_SUCCESS", "")
    waits(delivery(settings, DAY, END), "there is no file _SUCCESS in the folder of 2017-12-23", "1 log file of")
    refused(
        settings, "The delivery of 2017-12-23 is not complete: there is no file _SUCCESS", 'complete_when = "success'
    )
    put(settings, "landing/events/ds=2017-12-23/_SUCCESS", "")
    assert delivery(settings, DAY, END).complete
    assert land_delivered(settings, NIGHT, now=END).raw == {DAY: 1}


def test_a_history_is_judged_by_the_days_that_have_files(settings: Settings) -> None:
    settings = shop(settings, "success_file")
    days = Interval(date(2017, 12, 20), NIGHT.end)
    for day in (20, 22, 23):
        put_log(settings, day=date(2017, 12, day))
    refused(settings, "The delivery of 2017-12-20 (and 2 more days, up to 2017-12-23) is not complete", interval=days)
    for day in (20, 22, 23):
        put(settings, f"landing/events/ds=2017-12-{day}/_SUCCESS", "")
    assert list(land_delivered(settings, days, now=END).raw.values()) == [1, 0, 1, 1]


DAY_IN_NAMES = '[logs]\npath = "logs"\ndays = "visits_%Y%m%d"\n'


def test_where_file_names_tell_the_day_the_markers_name_does_too(settings: Settings) -> None:
    put(settings, "logs/visits_20171223.jsonl", LINE)
    plain = shop(settings, "success_file", DAY_IN_NAMES)
    with pytest.raises(SettingsError, match=re.escape("_SUCCESS tells no day: paths tell it by days = ")):
        delivery(plain, DAY, END)
    named = shop(settings, "success_file", DAY_IN_NAMES, success_file="_OK_%Y%m%d")
    put(settings, "logs/_OK_20171222", "")
    waits(delivery(named, DAY, END), f"there is no file _OK_20171223 in {settings.home / 'logs'}")
    put(settings, "logs/_OK_20171223", "")
    assert delivery(named, DAY, END).complete


def test_the_marker_of_an_hour_says_nothing_of_the_day(settings: Settings) -> None:
    by_hour = shop(settings, "success_file", '[logs]\npath = "logs"\ndays = "%Y/%m/%d/%H/"\n')
    put(settings, "logs/2017/12/23/00/a.jsonl", LINE)
    put(settings, "logs/2017/12/23/00/_SUCCESS", "")
    with pytest.raises(SettingsError, match="no folder is one day's"):
        delivery(by_hour, DAY, END)


@pytest.mark.parametrize(
    "setting",
    ['success_file = "SUCCESS"', 'manifest = "_*.json"', "alert_after_minutes = 10\ngive_up_after_minutes = 5"],
)
def test_wrong_rules_are_refused(settings: Settings, setting: str) -> None:
    put(settings, "nightshift.toml", f"[delivery]\n{setting}\n")
    with pytest.raises(SettingsError, match=r"delivery"):
        load_settings({"NIGHTSHIFT_HOME": str(settings.home)})


def test_a_manifest_names_the_files_and_their_bytes(settings: Settings) -> None:
    settings = shop(settings, "manifest")
    file = put_log(settings)
    waits(delivery(settings, DAY, END), f"there is no file {MANIFEST} in the folder of 2017-12-23")
    put_manifest(settings, {"a.jsonl": {"records": 1, "bytes": len(LINE)}, "b.jsonl": 2})
    waits(delivery(settings, DAY, END), "ds=2017-12-23/b.jsonl has not come")
    put_log(settings, "b.jsonl", 2)
    assert delivery(settings, DAY, END).complete
    file.write_text(LINE[:-9])
    waits(delivery(settings, DAY, END), f"a.jsonl has {len(LINE) - 9} of {len(LINE)} bytes")
    put_log(settings)
    put_log(settings, "c.jsonl")
    waits(delivery(settings, DAY, END), "c.jsonl is not named")
    refused(settings, "is not complete", "c.jsonl is not named")


def test_a_manifest_that_is_still_written_is_waited_for(settings: Settings) -> None:
    settings = shop(settings, "manifest")
    put_log(settings)
    for text in ('{"a.jsonl": 1', '["a.jsonl"]', '{"a.jsonl": {"rows": 1}}', '{"a.jsonl": -1}'):
        put_manifest(settings, text)
        waits(delivery(settings, DAY, END), f"{MANIFEST} cannot be read: expected JSON such as")
    put_manifest(settings, {"_a.jsonl": 1, "a.jsonl": 1})
    put(settings, f"landing/events/ds={DAY}/_a.jsonl", LINE)
    waits(delivery(settings, DAY, END), "_a.jsonl is none of the logs that mapping.toml names")


def test_other_counts_than_the_manifests_are_refused(settings: Settings) -> None:
    settings = shop(settings, "manifest")
    file, other = put_log(settings, records=3), put_log(settings, "b.jsonl")
    put_manifest(settings, {"a.jsonl": 4, "b.jsonl": 1})
    assert delivery(settings, DAY, END).complete
    refused(settings, f"{file}: expected 4 records, found 3", "Deliver the files again", now=END)
    put_manifest(settings, {"a.jsonl": 3, "b.jsonl": 1})
    assert land_delivered(settings, NIGHT, now=END).raw == {DAY: 4}
    assert other.exists()


def test_quiet_is_counted_from_the_days_end_and_the_newest_file(settings: Settings) -> None:
    settings = shop(settings, "quiet", quiet_minutes=20)
    file = put_log(settings)
    # the time of its own may be old: it came just now
    os.utime(file, (END.timestamp(), END.timestamp()))
    came = datetime.fromtimestamp(file.stat().st_ctime, UTC)
    waits(delivery(settings, DAY, END - timedelta(minutes=1)), "the day ends at 2017-12-24 00:00")
    waits(
        delivery(settings, DAY, came + timedelta(minutes=19)), "the newest of 1 files came at", "would make it complete"
    )
    assert delivery(settings, DAY, came + timedelta(minutes=20)).complete
    refused(settings, "is not complete: the newest of 1 files came at", now=came)
    # files of a day that is still to come end before it does: quiet begins with its end
    tomorrow = came.date() + timedelta(days=1)
    end = Interval.of_night(tomorrow).bounds(settings.shop.zone)[1]
    put_log(settings, day=tomorrow)
    waits(delivery(settings, tomorrow, end + timedelta(minutes=19)), "would make it complete")
    assert delivery(settings, tomorrow, end + timedelta(minutes=20)).complete


EXPORT = '[logs]\npath = "exports"\n'


@pytest.mark.parametrize("rule", ["success_file", "quiet"])
def test_what_tells_of_an_export_was_written_after_the_day(settings: Settings, rule: str) -> None:
    settings = shop(settings, rule, EXPORT)
    before, after = END - timedelta(hours=1), END + timedelta(minutes=5)
    long_after = datetime.now(UTC) + timedelta(days=1)
    for written in (before, after):
        put(settings, "exports/all.jsonl", LINE, written)
        put(settings, "exports/_SUCCESS", "", written)
        assert delivery(settings, DAY, long_after).complete == (written == after)
    waits(delivery(settings, date(2100, 1, 1), datetime(2100, 1, 2, 5, tzinfo=UTC)), "since 2100-01-02 00:00")


def test_the_manifest_of_an_export_is_compared_with_all_its_files(settings: Settings) -> None:
    settings = shop(settings, "manifest", EXPORT)
    file = put(settings, "exports/all.jsonl", LINE * 2)
    put(settings, f"exports/{MANIFEST}", '{"all.jsonl": 3}')
    assert delivery(settings, DAY, END).complete
    with pytest.raises(InputError, match=rf"{re.escape(str(file))}: expected 3 records, found 2"):
        land_delivered(settings, NIGHT, now=END)
