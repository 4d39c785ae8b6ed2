"""Whatever stands in the files of a day, every record is an event, a reject with a reason or a counted duplicate.

More examples than a run of all tests has time for: `NIGHTSHIFT_EXAMPLES=200`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS
from contracts.settings import PROJECT, Settings, load_settings
from spark_jobs.clean_events import Counts, balance
from spark_jobs.ingest import items
from spark_jobs.ingest.events import CLEAN, REASONS, REJECTED, classified
from spark_jobs.ingest.exports import counted
from spark_jobs.ingest.landing import Landing, land
from spark_jobs.ingest.records import MAX_ID, SHOWN_OF_LONG
from spark_jobs.ingest.text_files import MAX_RECORD

EXAMPLES = int(os.environ.get("NIGHTSHIFT_EXAMPLES", "0"))
DAY = date(2017, 12, 23)
NIGHT = Interval.of_night(DAY)
ITEM_COLUMNS = ("item_id", "title", "price", "available")
GOOD = {
    "event_time": "2017-12-23T10:00:00Z", "event_type": "purchase", "user_id": "ann", "item_id": "milk",
    "quantity": "1", "price": "0.99", "session_id": "s1", "title": "Milk", "available": "yes",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How the text of all files of a day is written, and what the mapping says of it."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    said: str = ""  # lines of [logs] and [catalogue]
    has_header: bool = True
    is_multiline: bool = False
    is_export: bool = False

    def mapping(self) -> str:
        """The mapping.toml; none for the contract's own shape."""
        if self == Way():
            return ""
        events = "\n".join(f'{name} = "{name}"' for name in EVENT_COLUMNS)
        attributes = "\n".join(f'{name} = "{name}"' for name in ITEM_COLUMNS)
        told = f'encoding = "{self.encoding}"\ndelimiter = "{self.delimiter}"\nquote = \'{self.quote}\'\n{self.said}'
        place = 'path = "landing/events"\n' + ("" if self.is_export else 'days = "ds=%Y-%m-%d/"\n')
        names = ("", "") if self.has_header else (columns_key(EVENT_COLUMNS), columns_key(ITEM_COLUMNS))
        return (
            f"[logs]\n{place}{told}\n{names[0]}\n[event]\n{events}\n"
            f'[catalogue]\npath = "landing/items"\n{told}\n{names[1]}\n[item]\n{attributes}\n'
        )


def columns_key(names: Sequence[str]) -> str:
    return f"columns = {json.dumps(names)}"


WAYS = (
    Way(),
    Way(),
    Way(is_export=True),
    Way(said="multiline = true", is_multiline=True),
    Way(encoding="windows-1252", delimiter=";"),
    Way(encoding="utf-16", delimiter="|", quote=""),
    Way(delimiter="::", said='escape = "!"'),
    Way(has_header=False),
)
SUFFIXES = ("jsonl", "jsonl.gz", "ndjson.zst", "json", "csv", "CSV.GZ", "csv.zst", "parquet")
NAMES = (
    "a", "a[1]", "b*", "c?", "{d,e}", "f\\g", "h%20i", "100%", "j+k l", "m#n", "o:p", "ü€", "q'\"r", "[s]/t:u", "v\nw",
)  # fmt: skip

text = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = (
    "", " ", "NaN", "-Infinity", "1e400", "-1", "9999-12-31T23:59:59-18:00", "0000-01-01", "0001-01-01T00:00+18:00",
    "253402300800", "2017-12-23T23:59:60Z", "x" * 10240, "a\0b", "a\x1fb", "a\nb", "a\r", "\x1b[31m", "\u202eb",
    "\ufeff", "\xa0", '"', 'a"b', "\\", "a,b;c|d::e", "null", "true", "é", "😀",
)  # fmt: skip
HEADER = object()
"""The header of the file once more."""
JUNK = (
    HEADER, "", " \t\r", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\xa0", "\ufeff", "\ufeff \ufeff", "\0", "{",
    "}", "[]", "7", "null", "NaN", '""', '"', '{"user_id": NaN}', '{"user_id": "a"} {"user_id": "b"}', "{}}",
    '{"a":' * 1200, "x" * (MAX_RECORD + 1), '"' * (MAX_RECORD + 1), " " * (MAX_RECORD + 1), "," * 30_000,
)  # fmt: skip
ALL = [*JUNK, *(GOOD | {name: value} for value in VALUES for name in ("user_id", "event_time", "price"))]

values = st.one_of(text, st.sampled_from(VALUES))
records = st.dictionaries(st.sampled_from(sorted(GOOD)), values, max_size=2).map(lambda changes: GOOD | changes)
junk = st.one_of(text.map(lambda line: line.replace("\n", "")), st.sampled_from(JUNK))
contents = st.lists(st.one_of(records, records, junk), min_size=4, max_size=20)
files = st.tuples(st.sampled_from(NAMES), st.sampled_from(SUFFIXES), contents)


def packed(content: bytes, suffix: str) -> bytes:
    if suffix.endswith("zst"):
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return gzip.compress(content, 1) if suffix.lower().endswith("gz") else content


def csv_line(row: Sequence[str], way: Way) -> str:
    if way.quote and len(way.delimiter) == 1:
        written = io.StringIO()
        csv.writer(written, delimiter=way.delimiter, lineterminator="").writerow(row)
        return written.getvalue()
    return way.delimiter.join(row)


def write(file: Path, suffix: str, content: Iterable[Any], columns: Sequence[str], way: Way) -> int | None:
    """Writes a file of the content, after one good record: how many records it has, if that is simple to say."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [GOOD, *content]
    if suffix == "parquet":
        told = [{name: row[name] for name in columns} for row in rows if isinstance(row, dict)]
        parquet.write_table(pa.Table.from_pylist(told), file)
        return len(told)
    if suffix == "json":
        found = [row if row is not HEADER else 12**40 for row in rows]
        file.write_bytes(json.dumps(found, ensure_ascii=False).encode(way.encoding, "replace"))
        return len(found)
    header = csv_line(columns, way)
    if suffix.startswith("csv") or suffix.startswith("CSV"):
        lines = [csv_line([row[name] for name in columns], way) if isinstance(row, dict) else row for row in rows]
        lines = [header, *lines] if way.has_header else lines
    else:
        lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    written = "\n".join(header if line is HEADER else line for line in lines) + "\n"
    raw = written.encode(way.encoding, "replace")
    file.write_bytes(packed(raw, suffix))
    if suffix.lower().startswith("csv") and way.is_multiline:
        return None
    full = [line for line in raw.decode(way.encoding).split("\n") if line.strip("\ufeff \t\r")]
    return len(full) - (suffix.lower().startswith("csv") and way.has_header)


@dataclass(frozen=True)
class Ingested:
    """What ingestion made of a day."""

    landing: Landing
    counts: Counts
    records: list[Any]
    catalogue: list[Any]


def ingest(spark: SparkSession, settings: Settings) -> Ingested:
    """All of ingestion but its writing."""
    landing = counted(spark, settings, NIGHT, land(settings, NIGHT))
    catalogue = items.catalogue_records(spark, settings, landing)
    known: DataFrame = catalogue.where(F.col(C.REASON).isNull()).select(C.ITEM_ID)
    made = classified(spark, settings, NIGHT, landing, known).persist()
    try:
        (counts,) = balance(made, {NIGHT: landing})
        names = (C.EVENT_ID, C.USER_ID, C.ITEM_ID, C.SESSION_ID, C.REASON, C.RAW, C.SOURCE_FILE)
        return Ingested(
            landing, counts, made.select(C.FATE, *names).collect(),
            catalogue.select(C.ITEM_ID, C.REASON, C.RAW, C.SOURCE_FILE).collect(),
        )  # fmt: skip
    finally:
        made.unpersist()


def home(folder: Path, mapping: str = "") -> Settings:
    """A home with a mapping."""
    settings = load_settings({"NIGHTSHIFT_HOME": str(folder), "NIGHTSHIFT_PROFILE": "demo"})
    settings.home.mkdir(exist_ok=True)
    if mapping:
        (settings.home / "mapping.toml").write_text(mapping)
    return settings


@hypothesis_settings(
    # a day of files takes seconds, however small they are
    max_examples=EXAMPLES or 2,
    derandomize=not EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
@given(
    way=st.sampled_from(WAYS),
    logs=st.lists(files, min_size=2, max_size=3, unique_by=lambda file: file[:2]),
    stock=files,
)
@example(
    way=Way(), logs=[("[1]", suffix, ALL) for suffix in ("jsonl", "csv", "json", "parquet")], stock=("{2}", "csv", ALL)
)
@example(way=WAYS[3], logs=[("a:b", "csv", ALL)], stock=("a", "jsonl", ALL))
@example(way=WAYS[4], logs=[("a%b", "csv", ALL), ("c", "csv.zst", ALL)], stock=("a", "CSV.GZ", ALL))
def test_nothing_is_lost(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, way: Way, logs: list[Any], stock: Any
) -> None:
    settings = home(tmp_path_factory.mktemp("hostile"), way.mapping())

    def put(folder: str, each: Any, columns: Sequence[str]) -> int | None:
        name, suffix, content = each
        name = name.replace(":", "") if suffix == "parquet" else name  # which is refused
        return write(settings.landing / folder / f"{name}.{suffix}", suffix, content, columns, way)

    written = [put(f"events/ds={DAY}", file, EVENT_COLUMNS) for file in logs]
    listed = put("items", stock, ITEM_COLUMNS)
    made = ingest(spark, settings)
    _, _, raw, clean, rejected, duplicates = made.counts
    assert raw == clean + rejected + duplicates
    assert clean >= 1
    if not way.is_export and None not in written:
        assert raw == sum(filter(None, written))
    rejects = [row for row in made.records if row[C.FATE] == REJECTED]
    assert {row[C.REASON] for row in rejects} <= set(REASONS)
    assert all(row[C.RAW] and row[C.EVENT_ID] for row in rejects)
    paths = {file.path.relative_to(settings.landing).as_posix() for file in made.landing.event_files}
    assert {row[C.SOURCE_FILE] for row in made.records} <= paths
    for row in made.records:
        if row[C.FATE] == CLEAN:
            for value in (row[C.USER_ID], row[C.ITEM_ID], row[C.SESSION_ID] or "s1"):
                assert 1 <= len(value) <= MAX_ID
                assert value.isprintable() or not set(value) & set("\0\x1f\x1b\r\n\u202e\ufeff")
    # of the catalogue: each record is an item or has a reason, and the good one is an item
    assert len(made.catalogue) == sum(file.records for file in made.landing.catalogue)
    assert listed in (None, len(made.catalogue))
    assert {row[C.REASON] for row in made.catalogue} <= {None, *items.REASONS}
    known = [row[C.ITEM_ID] for row in made.catalogue if row[C.REASON] is None]
    assert "milk" in known
    assert len(known) == len(set(known))


def reasons_of(made: Ingested) -> dict[str, int]:
    """How many records were rejected for each reason."""
    found = [row[C.REASON] for row in made.records if row[C.FATE] == REJECTED]
    return {reason: found.count(reason) for reason in sorted(set(found))}


def test_hostile_values_are_rejects_with_a_reason(spark: SparkSession, tmp_path: Path) -> None:
    settings = home(tmp_path)
    folder = settings.landing / f"events/ds={DAY}"
    folder.mkdir(parents=True)
    (settings.landing / "items").mkdir()
    stock = (
        {"item_id": item, "title": "Milk\x1b\n white"} for item in ("milk", "milk", "milk", "a\0b", "x" * 10240, None)
    )
    (settings.landing / "items/[1].jsonl").write_text("".join(json.dumps(row) + "\n" for row in stock) + "{\n{\n")
    good = {name: GOOD[name] for name in EVENT_COLUMNS}
    changes: list[dict[str, Any]] = [
        {}, {"user_id": "x" * MAX_ID}, {"user_id": "x" * 10240}, {"item_id": "milk\x1f"}, {"session_id": "\u202es"},
        {"user_id": "p\x1fmilk", "item_id": "q"}, {"user_id": "p", "item_id": "milk\x1fq"}, {"user_id": float("nan")},
        {"user_id": "priced", "price": float("nan")}, {"event_time": "9999-12-31T23:59:59-18:00"},
        {"event_time": "0000-01-01"}, {"event_time": "1970-01-01"}, {"event_time": 1e16},
    ]  # fmt: skip
    lines = [json.dumps(good | change) for change in changes]
    # where a file without a line end was joined to another one
    (folder / "a*.jsonl").write_text("\n".join([*lines, lines[0] + lines[1]]) + "\n")
    torn = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])
    typed = {
        "nan": {"user_id": pa.array([float("nan")])},
        "whole": {"user_id": pa.array([12.0])},
        "torn": {"user_id": torn},
        "bytes": {"user_id": pa.array([b"\xff"])},
        "late": {"event_time": pa.array([datetime(9999, 12, 31, 23, 59, 59)], pa.timestamp("us"))},
        "early": {"event_time": pa.array([-(2**63) + 1]).cast(pa.timestamp("ns"))},
    }
    for name, columns in typed.items():
        parquet.write_table(
            pa.table({each: [value] for each, value in good.items()} | columns), folder / f"{name}?.parquet"
        )
    made = ingest(spark, settings)
    assert reasons_of(made) == {
        "missing_user_id": 1, "unparseable_record": 1, "unparseable_time": 6, "unusable_id": 7,
    }  # fmt: skip
    clean = sorted(row[C.USER_ID] for row in made.records if row[C.FATE] == CLEAN)
    assert clean == ["12", "ann", "priced", "x" * MAX_ID]
    # not a number is no id in JSON and in Parquet: that is one record twice. But ids with the character that stands
    # between the values of a hash do not make two records one
    assert made.counts[1:] == (7, 20, 4, 15, 1)
    assert sorted(str(row[C.REASON]) for row in made.catalogue) == [
        "None", "duplicate_item", "duplicate_item", "missing_item_id", "unparseable_record", "unparseable_record",
        "unusable_id", "unusable_id",
    ]  # fmt: skip


def test_the_page_for_users_has_every_reason() -> None:
    page = (PROJECT / "docs/bring-your-own-logs.md").read_text()
    assert [name for name in (*REASONS, *items.REASONS) if f"| `{name}` |" not in page] == []


def test_columns_that_differ_by_case_are_two_columns(spark: SparkSession, tmp_path: Path) -> None:
    way = Way(said="# own")
    settings = home(tmp_path, way.mapping().replace('user_id = "user_id"', 'user_id = "coalesce(User_ID, user_id)"'))
    rows = [GOOD | {"User_ID": "bob"}, GOOD | {"User_ID": ""}]
    columns = ("User_ID", *EVENT_COLUMNS)
    write(settings.landing / "items/all.jsonl", "jsonl", [], ITEM_COLUMNS, Way())
    text = "\n".join([",".join(columns), *(csv_line([row[name] for name in columns], Way()) for row in rows)])
    (settings.landing / f"events/ds={DAY}").mkdir(parents=True)
    (settings.landing / f"events/ds={DAY}/a.csv").write_text(text)
    (settings.landing / f"events/ds={DAY}/b.jsonl").write_text(json.dumps(rows[0] | {"session_id": "s2"}))
    made = ingest(spark, settings)
    assert sorted(row[C.USER_ID] for row in made.records if row[C.FATE] == CLEAN) == ["ann", "bob", "bob"]


def test_a_record_of_50_mb_is_a_reject_that_shows_its_beginning(spark: SparkSession, tmp_path: Path) -> None:
    settings = home(tmp_path)
    folder = settings.landing / f"events/ds={DAY}"
    write(settings.landing / "items/all.jsonl", "jsonl", [], ITEM_COLUMNS, Way())
    long = "x" * 50_000_000
    write(folder / "a.jsonl", "jsonl", [GOOD | {"session_id": long}], (), Way())
    write(folder / "b.csv.zst", "csv.zst", [long], EVENT_COLUMNS, Way())
    write(folder / "c.json", "json", [GOOD | {"session_id": long, "user_id": "c"}], (), Way())
    made = ingest(spark, settings)
    assert reasons_of(made) == {"unparseable_record": 3}
    assert made.counts[2:] == (6, 1, 3, 2)
    raws = [row[C.RAW] for row in made.records if row[C.FATE] == REJECTED]
    assert all(SHOWN_OF_LONG < len(raw) < SHOWN_OF_LONG + 200 for raw in raws)
    assert all(" … (50000" in raw and " bytes, sha-256 " in raw for raw in raws)
