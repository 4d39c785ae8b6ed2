"""Files that no record can be taken from are refused with one error that names the file and says what to do."""

from __future__ import annotations

import gzip
import json
import os
import resource
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from contracts.errors import InputError, SettingsError
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS, Source
from contracts.settings import Settings
from spark_jobs.ingest.landing import land
from spark_jobs.ingest.log_files import inspect
from spark_jobs.ingest.text_files import MAX_LINE

DAY = date(2017, 12, 23)
NIGHT = Interval.of_night(DAY)
ROW: dict[str, Any] = {
    "event_time": "2017-12-23T10:00:00Z", "event_type": "purchase", "user_id": "ann", "item_id": "milk", "quantity": 1,
    "price": 0.99, "session_id": "s1",
}  # fmt: skip
LINE = json.dumps(ROW).encode() + b"\n"
HEADER = ",".join(EVENT_COLUMNS).encode() + b"\n"
CSV_LINE = ",".join(map(str, ROW.values())).encode() + b"\n"


def put(settings: Settings, name: str, content: bytes | pa.Table, day: str = str(DAY)) -> Path:
    """A log file, beside a catalogue."""
    file = settings.landing / f"events/ds={day}" / name
    stock = settings.landing / "items/all.jsonl"
    for each in (file, stock):
        each.parent.mkdir(parents=True, exist_ok=True)
    stock.write_text('{"item_id": "milk", "title": "Milk"}\n')
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        parquet.write_table(content, file)
    return file


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def table(**more: Any) -> pa.Table:
    return pa.table({name: [value] for name, value in ROW.items()} | more)


DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
TWICE = pa.Table.from_arrays([*table().columns, pa.array(["b"])], names=[*ROW, "user_id"])
NOT_UTF8 = "line 2 is not UTF-8 (byte 0xff)"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl.gz", gzip.compress(LINE + b"\xff\n", mtime=0), NOT_UTF8),
        ("a.csv.zst", zstd(HEADER + b"\xff\n"), NOT_UTF8),
        ("a.json", b"[" + LINE + b', "\xff"]', "can't decode byte 0xff"),
        ("a.json", b"[" + LINE + b"] and more", "more text follows the ]"),
        ("a.json", b"[" + LINE + b"] [" + LINE + b"]", "more text follows the ] after element 1"),
        ("a.json", b"[" + LINE + LINE + b"]", "after element 1 neither a comma nor ]"),
        ("a.json", b"[" + LINE + b', {"a": tru}]', "element 2 ends early or is no JSON"),
        ("a.json", b"[" + LINE + b",]", "element 2 ends early or is no JSON: Expecting value"),
        ("a.json", b"[" + LINE + b"," + DEEP + b"]", "element 2 of its array is nested too deeply"),
        ("a.csv", (HEADER + CSV_LINE).replace(b"\n", b"\r"), "a carriage return stands within the first line"),
        ("a.csv", b"x" * 200_000 + b"\n", "no CSV that can be read (field larger"),
        ("a.csv", HEADER.strip() + b"," * 20_000 + b"\n", "the first line has 20,007 values"),
        ("a.csv", b"user_id," + HEADER + b"bob," + CSV_LINE, "more than one column is named user_id"),
        ("a.parquet", table(User_ID=["b"]), "the columns user_id and User_ID have the same name"),
        ("a.parquet", table(more=[{"x": [{"b": 1, "B": 2}]}]), "the columns more.x.element.b and more.x.element.B"),
        ("a.parquet", TWICE, "the columns user_id and user_id have the same name"),
        ("a:b.parquet", table(), "for its colon"),
        ("a.csv.bz2", HEADER, "is of no known format"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_error_names_the_file(settings: Settings, name: str, content: bytes | pa.Table, problem: str) -> None:
    file = put(settings, name, content)
    with pytest.raises(InputError) as error:
        land(settings, NIGHT)
    assert str(file) in str(error.value)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "before", "what"), [("a.jsonl", LINE, "line 2"), ("a.json", b"[" + LINE + b',"', "element 2 of its array")]
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(
    settings: Settings, name: str, before: bytes, what: str
) -> None:
    file = put(settings, f"{name}.gz", b"")
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(before)
        for _ in range(8):
            packed.write(b"x" * (MAX_LINE // 2))
    with pytest.raises(InputError, match=f"{what}.* is longer than 64 MiB"):
        land(settings, NIGHT)


def test_a_line_of_50_mb_is_counted_in_little_memory(settings: Settings) -> None:
    file = put(settings, "a.jsonl", LINE + b"x" * 50_000_000 + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert inspect(file, Source(path=file)).records == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_a_name_that_is_no_text_is_refused(settings: Settings) -> None:
    folder = put(settings, "a.jsonl", LINE).parent
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl")).write_bytes(LINE)
    with pytest.raises(InputError, match=r"/\\udcff.jsonl' is not UTF-8. Deliver it under another name."):
        land(settings, NIGHT)


def test_a_header_that_comes_again_is_a_record(settings: Settings) -> None:
    file = put(
        settings, "a.csv", b"\xef\xbb\xbf" + HEADER + CSV_LINE + b"\xef\xbb\xbf" + HEADER[:-1] + b"\r\n\n" + HEADER
    )
    seen = inspect(file, Source(path=file))
    assert (seen.records, seen.repeated) == (3, 2)
    again = land(settings, NIGHT), land(settings, NIGHT)  # the second one remembers
    assert {landing.event_files[0].repeated for landing in again} == {2}


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "1970-01-01", "٢٠١٧-١٢-٢٣"])
def test_a_folder_of_a_year_without_shops_is_no_day(
    settings: Settings, day: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(settings, "a.jsonl", LINE)
    put(settings, "a.jsonl", LINE + LINE, day)
    assert land(settings, NIGHT).raw == {DAY: 1}
    assert "1 of 2 files" in caplog.text


def test_the_last_day_of_all_is_no_night() -> None:
    with pytest.raises(SettingsError, match="There is no night 9999-12-31"):
        Interval.of_night(date.max)
