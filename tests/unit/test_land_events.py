"""What lands, and what is refused with a message that says where and what to do."""

from __future__ import annotations

import gzip
import re
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from contracts.errors import InputError
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS, Source, load_mapping
from contracts.settings import Settings, Shop, load_settings
from spark_jobs.ingest import inspections
from spark_jobs.ingest.landing import Landing, land
from spark_jobs.ingest.log_files import LogFile, inspect
from spark_jobs.land_events import Arguments, run

NIGHT, AFTER = (Interval.of_night(date(2017, 12, day)) for day in (23, 24))
LINE = (
    b'{"event_time":"2017-12-23T10:00:00Z","event_type":"purchase","user_id":"ann","item_id":"milk",'
    b'"quantity":1,"price":null,"session_id":null}\n'
)
HEADER = ",".join(EVENT_COLUMNS).encode() + b"\n"
ROW = b"2017-12-23T10:00:00Z,purchase,ann,milk,1,,\n"


def gzipped(content: bytes) -> bytes:
    """Without the time of compression: contents are in the names of tests, which pytest-xdist's processes compare."""
    return gzip.compress(content, mtime=0)


def damaged_pages() -> bytes:
    """A Parquet file whose footer is good."""
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"user_id": [f"user {n}" for n in range(2000)]}), sink)
    content = bytearray(sink.getvalue().to_pybytes())
    content[200:1200] = b"\xff" * 1000
    return bytes(content)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with a catalogue and nothing else."""
    made = load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    put(made, "items/catalogue.jsonl", b'{"item_id":"milk","title":"Milk"}\n')
    return made


def put(settings: Settings, name: str, content: bytes) -> Path:
    file = settings.landing / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def put_log(settings: Settings, name: str, content: bytes) -> Path:
    return put(settings, f"events/ds=2017-12-23/{name}", content)


def refused(settings: Settings, *words: str, interval: Interval = NIGHT, allow_empty: bool = False) -> None:
    """Landing fails with a message that has all ``words``."""
    with pytest.raises(InputError) as error:
        land(settings, interval, allow_empty=allow_empty)
    for word in words:
        assert word in str(error.value)


def names(landing: Landing) -> list[str]:
    return [file.path.name for file in landing.event_files]


def test_lists_files_of_all_formats_with_their_records(settings: Settings) -> None:
    put_log(settings, "a.jsonl", LINE + b"\n  \r\n" + LINE)
    put_log(settings, "b.ndjson.gz", gzipped(LINE))
    put_log(settings, "c.csv", b"\xef\xbb\xbf" + HEADER + ROW)
    put_log(settings, "hour=10/d.csv.gz", gzipped(HEADER + ROW + ROW))
    put_log(settings, "e.jsonl.ZST", zstd(LINE) + zstd(LINE))
    put_log(settings, "_SUCCESS", b"")
    put_log(settings, ".e.jsonl.part", b"half")
    frame = pd.DataFrame({name: ["x"] for name in EVENT_COLUMNS})
    frame.to_parquet(settings.landing / "events/ds=2017-12-23/f.parquet")
    landing = land(settings, NIGHT)
    assert {file.path.name: (file.format, file.records) for file in landing.event_files} == {
        "a.jsonl": ("json", 2), "b.ndjson.gz": ("json", 1), "c.csv": ("csv", 1), "d.csv.gz": ("csv", 2),
        "e.jsonl.ZST": ("json", 2), "f.parquet": ("parquet", 1),
    }  # fmt: skip
    assert all(file.columns == EVENT_COLUMNS for file in landing.event_files)
    assert [file.path.name for file in landing.catalogue] == ["catalogue.jsonl"]


def test_a_day_that_did_not_arrive_is_named(settings: Settings) -> None:
    put_log(settings, "a.jsonl", LINE)
    put(settings, "events/ds=2017-12-27/a.jsonl", LINE)
    refused(settings, "No log has arrived for 2017-12-24", str(settings.landing / "events/ds=2017-12-24"),
            "nearest days that the logs have: 2017-12-23, 2017-12-27", interval=AFTER)  # fmt: skip
    assert land(settings, AFTER, allow_empty=True).raw == {AFTER.start: 0}


def test_a_folder_without_a_log_file_is_a_day_without_a_log(settings: Settings) -> None:
    put_log(settings, "_SUCCESS", b"")
    refused(settings, "holds no log file", "2017-12-23")
    assert land(settings, NIGHT, allow_empty=True).event_files == []


@pytest.mark.parametrize(
    "shop", [Shop(closed_weekdays=("sunday",)), Shop(closed_dates=(AFTER.start,))], ids=["weekday", "date"]
)
def test_a_closed_day_needs_no_log_but_may_have_one(settings: Settings, shop: Shop) -> None:
    closed = settings.model_copy(update={"shop": shop})
    put_log(settings, "a.jsonl", LINE)
    assert land(closed, AFTER).raw == {AFTER.start: 0}
    put(settings, f"events/ds={AFTER.start}/a.jsonl", b"")
    assert land(closed, AFTER).raw == {AFTER.start: 0}
    put(settings, f"events/ds={AFTER.start}/a.jsonl", LINE)
    assert land(closed, AFTER).raw == {AFTER.start: 1}


def test_a_history_may_have_gaps_but_not_be_one(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nightshift")
    for day in (23, 26):
        put(settings, f"events/ds=2017-12-{day}/a.jsonl", LINE)
    landing = land(settings, Interval(date(2017, 12, 22), date(2017, 12, 28)))
    assert list(landing.raw.values()) == [0, 1, 0, 0, 1, 0]
    assert caplog.messages == ["4 days without log records: 2017-12-22, 2017-12-24 … 2017-12-25, 2017-12-27."]
    refused(settings, "No day from 2017-12-27 to 2017-12-29 has a log record", "2 days, from 2017-12-23 to 2017-12-26",
            interval=Interval(date(2017, 12, 27), date(2017, 12, 30)))  # fmt: skip


def test_text_that_is_not_utf8_is_told_with_the_encoding_that_is_likely(settings: Settings) -> None:
    put_log(settings, "a.jsonl", LINE + LINE.replace(b"milk", "Käse".encode("latin-1")))
    refused(settings, "a.jsonl: line 2 is not UTF-8 (byte 0xe4)", 'encoding = "windows-1252"')


@pytest.mark.parametrize(
    "content", [b"", gzipped(b""), gzipped(b"\n \n")], ids=["no byte", "empty gzip", "blank lines"]
)
def test_an_empty_day_is_refused_unless_it_is_allowed(settings: Settings, content: bytes) -> None:
    put_log(settings, "a.jsonl.gz" if content else "a.jsonl", content)
    with pytest.raises(InputError, match=r"a\.jsonl"):
        land(settings, NIGHT)
    assert sum(file.records for file in land(settings, NIGHT, allow_empty=True).event_files) == 0


def test_the_message_of_an_empty_day_says_what_to_do(settings: Settings) -> None:
    put_log(settings, "a.jsonl.gz", gzipped(b""))
    refused(settings, "The log of 2017-12-23 is empty", "run again with allow_empty")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl.gz", gzipped(LINE * 500)[:-40], "truncated or damaged"),
        ("a.jsonl.gz", gzipped(LINE)[:-1], "truncated or damaged"),
        ("a.csv.gz", b"not gzip at all", "truncated or damaged"),
        ("a.jsonl.gz", gzipped(LINE) + b"garbage", "truncated or damaged"),
        ("a.jsonl.gz", b"", "zero bytes"),
        ("a.jsonl", b"", "zero bytes"),
        ("a.csv", b"", "zero bytes"),
        ("a.parquet", b"", "zero bytes"),
        ("a.parquet", b"PAR1 and then nothing", "cannot be read to its end as Parquet"),
        pytest.param("a.parquet", damaged_pages(), "cannot be read to its end as Parquet", id="damaged pages"),
        ("a.jsonl", b"one, two\n[1]\n", "no JSON object in its first 2 lines"),
        ("a.json", b'[{"item_id": "milk"},\n {"item_id": "te', "is no JSON array that can be read to its end"),
        ("a.json", b'[{"item_id": "caf\xe9"}]', "is no JSON array that can be read to its end"),
        ("a.jsonl.zst", zstd(LINE * 500)[:-9], "truncated or damaged"),
        ("a.jsonl.zst", b"not zstd at all", "truncated or damaged"),
        ("a.xlsx", b"PK", "no known format"),
        ("a.parquet.gz", b"PK", "no known format"),
        ("log", LINE, "no known format"),
    ],
)
def test_an_unreadable_file_is_named(settings: Settings, name: str, content: bytes, problem: str) -> None:
    file = put_log(settings, name, content)
    refused(settings, str(file), problem)


def test_a_renamed_csv_column_is_named_with_the_columns_found(settings: Settings) -> None:
    file = put_log(settings, "a.csv", HEADER.replace(b"user_id", b"customer") + ROW)
    refused(settings, f"{file}: missing column user_id; found event_time, event_type, customer, item_id")


def test_a_missing_json_key_is_named_but_a_null_one_and_a_bad_line_pass(settings: Settings) -> None:
    put_log(settings, "a.jsonl", b"{bad\n" + LINE)
    assert land(settings, NIGHT).event_files[0].records == 2
    put_log(settings, "b.jsonl", LINE.replace(b"item_id", b"sku").replace(b"session_id", b"visit"))
    refused(settings, "b.jsonl: missing columns item_id, session_id; found")


def test_the_catalogue_is_the_newest_that_is_not_after_the_night(settings: Settings) -> None:
    put_log(settings, "a.jsonl", LINE)
    for day in ("2017-12-01", "2017-12-23", "2017-12-24"):
        put(settings, f"items/ds={day}/items.csv", b"item_id,title\nmilk,Milk\n")
    (file,) = land(settings, NIGHT).catalogue
    assert file.path.parent.name == "ds=2017-12-23"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"sku,title\nmilk,Milk\n", "missing column item_id; found sku, title"),
        (b"item_id,name\nmilk,Milk\n", "none of the columns title, description"),
        (b"item_id,title\n", "The catalogue is empty"),
    ],
)
def test_a_catalogue_that_cannot_serve_is_refused(settings: Settings, content: bytes, problem: str) -> None:
    put_log(settings, "a.jsonl", LINE)
    put(settings, "items/ds=2017-12-23/items.csv", content)
    refused(settings, problem)


def test_no_catalogue_is_refused(settings: Settings) -> None:
    put_log(settings, "a.jsonl", LINE)
    (settings.landing / "items/catalogue.jsonl").unlink()
    refused(settings, "No catalogue for the night 2017-12-23", str(settings.landing / "items"))


def test_the_step_prints_the_list(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    file = put_log(settings, "a.jsonl", LINE)
    run(settings, Arguments(start=NIGHT.start, end=NIGHT.end))
    assert re.search(rf"2017-12-23 +1  {re.escape(str(file))}", capsys.readouterr().out)


def test_a_csv_header_in_quotes_with_spaces_is_read(settings: Settings) -> None:
    file = put_log(settings, "a.csv", b'"user_id", item_id ,"a,b"\r\n1,2,3\r\n')
    assert inspect(file, load_mapping(settings).logs).columns == ("user_id", "item_id", "a,b")


def test_a_file_is_read_once_as_long_as_it_stays_the_same(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def watched(path: Path, source: Source, *, allow_empty: bool = False) -> LogFile:
        read.append(path.name)
        return inspect(path, source, allow_empty=allow_empty)

    monkeypatch.setattr(inspections, "inspect", watched)
    put_log(settings, "a.csv", HEADER + ROW)
    put_log(settings, "hour=10/b.jsonl.gz", gzipped(LINE))
    first = land(settings, NIGHT)
    assert sorted(read) == ["a.csv", "b.jsonl.gz", "catalogue.jsonl"]
    assert land(settings, NIGHT) == first
    assert len(read) == 3
    put_log(settings, "a.csv", HEADER + ROW.replace(b"ann", b"bob"))  # as many bytes
    assert land(settings, NIGHT) == first
    assert read[3:] == ["a.csv"]
    put_log(settings, "c.jsonl", LINE)
    (settings.landing / "events/ds=2017-12-23/a.csv").unlink()
    assert names(land(settings, NIGHT)) == ["c.jsonl", "b.jsonl.gz"]
    assert read[4:] == ["c.jsonl"]


def test_a_file_of_zero_bytes_that_was_allowed_once_is_not_remembered_as_right(settings: Settings) -> None:
    put_log(settings, "a.jsonl", b"")
    put_log(settings, "b.jsonl", LINE)
    land(settings, NIGHT, allow_empty=True)
    refused(settings, "a.jsonl has zero bytes")
