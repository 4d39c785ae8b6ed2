"""Small tables are written without Spark: every type, one commit, nothing outside the predicate."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from contracts import lake
from contracts.errors import InputError
from contracts.settings import Settings
from contracts.tables import (
    EVENTS,
    INGEST_COUNTS,
    ITEM_VECTORS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
    TABLES,
    Table,
)
from tests import factories
from tests.lakes import ArrowLake

FIRST, SECOND = date(2017, 12, 23), date(2017, 12, 24)


def publication(ds: date, run_id: str, **changes: Any) -> tuple[object, ...]:
    times = {"published_at": datetime(2017, 12, 24, 3, 4, 5, 678, tzinfo=UTC)}
    row = factories.publication(ds, run_id=run_id, **times | changes)
    return tuple(row[name] for name in PUBLICATIONS.names)


def test_every_type_comes_back_as_it_went_in(settings: Settings) -> None:
    row = publication(FIRST, "it's <run>", reasons=["a", "b"])
    lake.replace_small(settings, PUBLICATIONS, [row], "ds = '2017-12-23'")
    (row_back,) = lake.rows(settings, PUBLICATIONS)
    assert tuple(row_back[name] for name in PUBLICATIONS.names) == row


def test_only_rows_of_the_predicate_are_replaced(settings: Settings) -> None:
    for ds in (FIRST, SECOND):
        lake.replace_small(settings, INGEST_COUNTS, [(ds, 1, 9, 8, 1, 0)], f"ds = '{ds}'")
    lake.replace_small(settings, INGEST_COUNTS, [(SECOND, 2, 5, 5, 0, 0)], f"ds = '{SECOND}'")
    lake.replace_small(settings, INGEST_COUNTS, [(SECOND, 2, 5, 5, 0, 0)], f"ds = '{SECOND}'")
    rows = lake.rows(settings, INGEST_COUNTS)
    assert sorted((row["ds"], row["raw"]) for row in rows) == [(FIRST, 9), (SECOND, 5)]


def test_a_row_outside_the_predicate_changes_nothing(settings: Settings) -> None:
    lake.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, 9, 8, 1, 0)], f"ds = '{FIRST}'")
    before = lake.version(settings, INGEST_COUNTS)
    with pytest.raises(deltalake.exceptions.DeltaError):
        lake.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, 9, 8, 1, 0)], f"ds = '{SECOND}'")
    assert lake.version(settings, INGEST_COUNTS) == before


def test_rows_are_added_once_and_those_of_other_models_are_not_looked_at(settings: Settings) -> None:
    def vectors(model: str, *items: str) -> pa.Table:
        of_each = pa.array([[1.0, 2.0]] * len(items), pa.list_(pa.float32()))
        named = pa.array(list(items), pa.string())
        return pa.table([pa.repeat(model, len(items)), named, named, of_each, of_each], names=ITEM_VECTORS.names)

    for model, items in (("m1", "ab"), ("m1", "cba"), ("m2", "a"), ("m1", "ab")):
        lake.add(settings, ITEM_VECTORS, vectors(model, *items), {"model_id": model})
    rows = [(row["model_id"], row["item_id"], row["vector"]) for row in lake.rows(settings, ITEM_VECTORS)]
    assert sorted(rows) == [
        (model, item, [1.0, 2.0]) for model, item in (*(("m1", each) for each in "abc"), ("m2", "a"))
    ]


def test_tables_keep_the_nullability_of_their_contract(settings: Settings) -> None:
    row = ("m", "s", "all", "ndcg@10", 0.5, None, None, 7)
    lake.replace_small(settings, MODEL_EVALUATIONS, [row], "snapshot_id = 's'")
    assert lake.rows(settings, MODEL_EVALUATIONS)[0]["ci_low"] is None
    with pytest.raises(deltalake.exceptions.DeltaError, match=r"metric.*non-nullable"):
        lake.replace_small(settings, MODEL_EVALUATIONS, [("m", "s", "all", None, *row[4:])], "snapshot_id = 's'")


def test_rows_are_counted_without_spark(settings: Settings) -> None:
    assert lake.count(settings, RECOMMENDATIONS, {"ds": FIRST}) == 0
    rows = [(FIRST, "r", "events", f"e{n}", "critical", True, "x", None) for n in range(3)]
    lake.replace_small(settings, QUALITY_RESULTS, rows, f"ds = '{FIRST}' AND suite IN ('events')")
    assert lake.count(settings, QUALITY_RESULTS, {"ds": FIRST}) == 3
    assert lake.count(settings, QUALITY_RESULTS, {"ds": SECOND}) == 0


def test_a_first_write_that_was_killed_leaves_no_table_and_the_next_one_succeeds(settings: Settings) -> None:
    log = lake.path(settings, INGEST_COUNTS) / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.0a1b.tmp").write_text("half a commit")
    (log.parent / "part-00000.parquet").write_bytes(b"half a file")
    assert not lake.exists(settings, INGEST_COUNTS)
    assert lake.rows(settings, INGEST_COUNTS) == []
    with pytest.raises(InputError, match="does not exist"):
        lake.version(settings, INGEST_COUNTS)
    lake.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, 9, 8, 1, 0)], f"ds = '{FIRST}'")
    assert len(lake.rows(settings, INGEST_COUNTS)) == 1
    assert not (log.parent / "part-00000.parquet").exists()


def test_reads_without_spark_are_checked_against_the_contract(settings: Settings) -> None:
    path = str(lake.path(settings, INGEST_COUNTS))
    deltalake.write_deltalake(path, pa.table({"ds": pa.array([FIRST], pa.date32()), "files": ["one"]}))
    with pytest.raises(InputError, match=r"column files is string, expected bigint.*ingest_counts") as error:
        lake.rows(settings, INGEST_COUNTS)
    assert "missing column raw (bigint)" in str(error.value)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_type_of_a_contract_is_recognised_without_spark(settings: Settings, table: Table) -> None:
    ArrowLake(settings).write(table, [])
    assert lake.rows(settings, table) == []


def test_some_rows_are_at_most_so_many_of_those_that_match(settings: Settings) -> None:
    for ds in (FIRST, SECOND):
        lake.replace_small(settings, INGEST_COUNTS, [(ds, n, 9, 8, 1, 0) for n in range(3)], f"ds = '{ds}'")
    some = lake.some_rows(settings, INGEST_COUNTS, ["ds", "files"], {"ds": SECOND}, 2)
    assert [row["ds"] for row in some] == [SECOND] * 2


def test_the_as_of_filter_asks_for_the_log_and_for_the_time(settings: Settings) -> None:
    lake_ = ArrowLake(settings)
    lake_.write(
        EVENTS,
        [
            factories.event("ann", "known", factories.noon(FIRST)),
            factories.event("ann", "brought later", factories.noon(FIRST), ds=SECOND),
            factories.event("ann", "of the day", factories.noon(SECOND)),
        ],
    )
    rows = lake.rows(settings, EVENTS, lake.known_before(SECOND, pads.field, UTC))
    assert [row["item_id"] for row in rows] == ["known"]


def test_an_older_version_is_read_until_its_files_are_cleaned_away(settings: Settings) -> None:
    for raw in (9, 5):
        lake.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, raw, raw, 0, 0)], f"ds = '{FIRST}'")
    before = lake.arrow(settings, INGEST_COUNTS, ["raw"], at=0)
    assert before["raw"].to_pylist() == [9]
    assert lake.arrow(settings, INGEST_COUNTS, ["raw"], at=1)["raw"].to_pylist() == [5]
    with pytest.raises(
        InputError, match=r"Version 7 of table .*/ingest_counts cannot be read any more: its log does not"
    ):
        lake.arrow(settings, INGEST_COUNTS, at=7)
    opened = deltalake.DeltaTable(lake.path(settings, INGEST_COUNTS))
    opened.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(
        InputError, match=r"Version 0 of table .*: 1 of its files were cleaned away. Run again what noted"
    ):
        lake.arrow(settings, INGEST_COUNTS, at=0)
    assert lake.arrow(settings, INGEST_COUNTS, ["raw"], at=1)["raw"].to_pylist() == [5]


def test_a_large_table_is_read_a_row_group_at_a_time(arrow_lake: ArrowLake) -> None:
    rows = [factories.event(f"u{n % 3}", f"i{n}", factories.noon(ds)) for ds in (FIRST, SECOND) for n in range(10)]
    arrow_lake.write(EVENTS, rows, row_group=4)
    of_day = (pads.field("ds") == SECOND) & (pads.field("user_id") != "u2")
    parts = list(lake.parts(arrow_lake.settings, EVENTS, ["item_id", "ds"], of_day))
    # u0 u1 u2 u0, u1 u2 u0 u1, u2 u0
    assert [part.num_rows for part in parts] == [3, 3, 1]
    few = lake.few(arrow_lake.settings, EVENTS, ["item_id", "ds"], of_day)
    assert few.to_pylist() == [{"item_id": f"i{n}", "ds": SECOND} for n in (0, 1, 3, 4, 6, 7, 9)]
    none = lake.few(arrow_lake.settings, EVENTS, ["item_id", "ds"], {"ds": date(2017, 1, 1)})
    assert (none.num_rows, none.schema) == (0, few.schema)


def test_rows_are_counted_across_files_and_row_groups(arrow_lake: ArrowLake) -> None:
    rows = [factories.event(f"u{n % 3}", "i", factories.noon(ds)) for ds in (FIRST, SECOND) for n in range(10)]
    arrow_lake.write(EVENTS, rows, row_group=4)
    counted = lake.counts(arrow_lake.settings, EVENTS, ["user_id"], pads.field("user_id") != "u1")
    assert {row["user_id"]: row[lake.COUNT] for row in counted.to_pylist()} == {"u0": 8, "u2": 6}
    by_both = lake.counts(arrow_lake.settings, EVENTS, ["ds", "user_id"])
    assert sorted(row[lake.COUNT] for row in by_both.to_pylist()) == [3, 3, 3, 3, 4, 4]
    assert lake.counts(arrow_lake.settings, EVENTS, ["user_id"], {"ds": date(2017, 1, 1)}).num_rows == 0
