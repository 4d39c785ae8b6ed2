"""The gate: what stops a night, what is only a warning, and what is neither but a broken check."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from contracts.errors import InputError, QualityError
from contracts.interval import Interval
from contracts.settings import Settings, Shop, names
from contracts.tables import EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS, ITEMS_REJECTED, QUALITY_RESULTS
from spark_jobs.ingest.acceptance import batch
from spark_jobs.quality import gate
from spark_jobs.quality.metrics import Metrics, catalogue_rows, events_metrics, items_metrics, volume_metric
from spark_jobs.quality.suites import Check, events_suite, items_suite
from spark_jobs.validate import Arguments, run
from tests import factories
from tests.factories import FIRST_CATALOGUE, counted
from tests.lakes import SparkLake

NIGHT = date(2017, 12, 23)
OF_NIGHT = Interval.of_night(NIGHT)


def event(n: int, **changes: Any) -> dict[str, Any]:
    return factories.event("ann", "milk", datetime(2017, 12, 23, 10, tzinfo=UTC)) | {"event_id": f"e{n}"} | changes


def item(item_id: str, text: str, **changes: Any) -> dict[str, Any]:
    return factories.item(
        item_id, text=text, **({"title": text, "text_hash": hashlib.sha256(text.encode()).hexdigest()} | changes)
    )


def rejected(n: int, reason: str, **changes: Any) -> dict[str, Any]:
    row = {"event_id": f"r{n}", "reason": reason, "raw": "{}", "source_file": f"events/ds={NIGHT}/a.jsonl", "ds": NIGHT}
    return row | changes


def fill(tables: SparkLake, events: list[dict[str, Any]], counts: list[dict[str, Any]]) -> None:
    tables.write(EVENTS, events)
    tables.write(INGEST_COUNTS, counts)
    tables.write(ITEMS, [item("milk", "milk"), item("tea", "tea")])
    tables.write(ITEMS_REJECTED, [])


def validate(
    tables: SparkLake, *, allow_empty: bool = False, run_id: str = "r1", settings: Settings | None = None
) -> None:
    arguments = Arguments(start=NIGHT, end=NIGHT + timedelta(days=1), allow_empty=allow_empty, run_id=run_id)
    run(tables.spark, settings or tables.settings, arguments)


def measure(tables: SparkLake, days: Interval = OF_NIGHT) -> Metrics:
    items = catalogue_rows(tables.spark, tables.settings, days.ds)
    return events_metrics(items, tables.settings, batch(tables.spark, tables.settings, days.ds, days))


def failed(tables: SparkLake) -> set[tuple[str, str]]:
    return {(row["metric"], row["severity"]) for row in observed(tables) if not row["success"]}


def observed(tables: SparkLake) -> list[dict[str, Any]]:
    return [row | {"metric": row["expectation"]} for row in tables.rows(QUALITY_RESULTS)]


def test_a_good_night_passes_and_results_do_not_double(tables: SparkLake) -> None:
    fill(tables, [event(1), event(2, behaviour="view", quantity=None, price=None)], [counted(NIGHT, 2)])
    validate(tables)
    validate(tables, run_id="r2")
    rows = tables.rows(QUALITY_RESULTS)
    assert {row["run_id"] for row in rows} == {"r2"}
    assert all(row["success"] for row in rows)
    events = {row["expectation"]: (row["expected"], row["observed"]) for row in rows if row["suite"] == "events"}
    assert events["events"] == ("at least 1 ([quality] min_events)", "2")
    assert events["rejected / raw records"] == ("at most 0.1 ([quality] max_rejected_share)", "0")
    assert not any("median" in name for name in events)  # there is no past yet
    assert len(rows) == len({(row["suite"], row["expectation"]) for row in rows})


def test_a_bad_night_stops_with_each_failure_named_and_every_result_written(tables: SparkLake) -> None:
    past = [counted(NIGHT - timedelta(days=n), 100) for n in range(1, 29)]
    bad = [
        event(1), event(1), event(2, item_id="caviar"), event(3, behaviour="stare"), event(4, quantity=0.0),
        event(5, quantity=None), event(6, price=-1.0), event(7, price=None), event(8, quantity=1e6),
        event(9, event_time=datetime(2017, 12, 19, 23, tzinfo=UTC)),
    ]  # fmt: skip
    fill(tables, bad, [*past, counted(NIGHT, 11, rejected=4)])
    with pytest.raises(QualityError) as error:
        validate(tables)
    for words in (
        "The data of 2017-12-23 failed 8 critical expectations. ",
        "events: events with an id that another one has: expected 0, found 1; ",
        "events: events more or fewer than ingest_counts says: expected 0, found 1; ",
        "events: rejected / raw records: expected at most 0.1 ([quality] max_rejected_share), found 0.2667; ",
        "events: events of the night / median of the 28 days before: expected at least 0.2 "
        "([quality] min_volume_ratio), found 0.11",
        "Nothing is published.",
    ):
        assert words in str(error.value)
    assert failed(tables) == {
        ("events with an id that another one has", "critical"),
        ("events more or fewer than ingest_counts says", "critical"),
        ("events of behaviours that the settings do not name", "critical"),
        ("events with a quantity that is not positive", "critical"),
        ("purchases without a quantity", "critical"),
        ("events outside their day's log and its late days", "critical"),
        ("rejected / raw records", "critical"),
        ("events of the night / median of the 28 days before", "critical"),
        ("events of the night / median of the 28 days before (usual)", "warning"),
        ("rejected / raw records (usual)", "warning"),
        ("events of items that are not in the catalogue / events", "warning"),
        ("events with a price below 0 / events", "warning"),
        ("largest quantity", "warning"),
        ("purchases without a price / purchases", "warning"),
        ("events of earlier days / events", "warning"),
    }


def test_an_empty_night_passes_only_where_it_is_allowed(tables: SparkLake) -> None:
    past = [counted(NIGHT - timedelta(days=n), 100) for n in range(1, 29)]
    fill(tables, [], [*past, counted(NIGHT, 0)])
    with pytest.raises(QualityError, match=r"events: events: expected at least 1 \(\[quality\] min_events\), found 0"):
        validate(tables)
    validate(tables, allow_empty=True)
    assert failed(tables) == set()
    closed = tables.settings.model_copy(update={"shop": Shop(closed_weekdays=("saturday",))})  # which the night is
    validate(tables, settings=closed)
    assert failed(tables) == set()
    open_ = tables.settings.model_copy(update={"shop": Shop(closed_weekdays=("sunday",))})
    with pytest.raises(QualityError, match="events: events: expected at least 1"):
        validate(tables, settings=open_)


def test_a_day_begins_at_the_shops_midnight(tables: SparkLake) -> None:
    tokyo = tables.settings.model_copy(update={"shop": Shop(time_zone="Asia/Tokyo")})
    # half past midnight in Tokyo, of the night, of its last late day, and half an hour before that day
    moments = [datetime(2017, 12, day, 15 - early, 30, tzinfo=UTC) for day, early in ((22, 0), (19, 0), (19, 1))]
    fill(tables, [event(n, event_time=moment) for n, moment in enumerate(moments)], [counted(NIGHT, 3)])
    seen = measure(replace(tables, settings=tokyo))
    assert (seen["late"], seen["times_outside"]) == (2, 1)


def test_of_several_days_only_closed_ones_and_gaps_may_be_empty(tables: SparkLake) -> None:
    days = Interval(NIGHT - timedelta(days=1), NIGHT + timedelta(days=1))
    fill(tables, [event(1)], [counted(NIGHT - timedelta(days=1), 0), counted(NIGHT, 1)])
    assert measure(tables, days)["days_empty"] == 0
    # there were records, and none was an event
    fill(tables, [event(1)], [counted(NIGHT - timedelta(days=1), 0, rejected=1), counted(NIGHT, 1)])
    assert measure(tables, days)["days_empty"] == 1
    friday = tables.settings.model_copy(update={"shop": Shop(closed_dates=(NIGHT - timedelta(days=1),))})
    assert measure(replace(tables, settings=friday), days)["days_empty"] == 0


def test_too_many_rejects_are_explained_with_reasons_an_example_and_the_setting(tables: SparkLake) -> None:
    fill(tables, [event(1)], [counted(NIGHT, 1, rejected=9)])
    long = f'{{"user_id": "ann", "item_id": "{"x" * 300}"}}'
    others = [rejected(n, reason) for n, reason in enumerate("abcde")]
    tables.write(EVENTS_REJECTED, [
        rejected(10, "returned"), *others, *(rejected(n, "unknown_item", raw=long) for n in (20, 21, 22)),
        rejected(30, "of another day", ds=NIGHT - timedelta(days=1)),
    ])  # fmt: skip
    with pytest.raises(QualityError) as error:
        validate(tables)
    told = str(error.value)
    # returned is expected: 8 of 10 count
    assert "expected at most 0.1 ([quality] max_rejected_share), found 0.8. Rejected of 10 records: " in told
    reasons = "unknown_item 30.0%, a 10.0%, b 10.0%, c 10.0%, d 10.0% and 1 more reason"
    assert f"{reasons}; for example (unknown_item) in events/ds=2017-12-23/a.jsonl: {{" in told
    (record,) = re.findall(r"a.jsonl: (.*…)\. If the log is right", told)
    assert len(record) == 200
    assert "ann" not in record
    assert "raise [quality] max_rejected_share, or list the reason in [ingest] expected_rejects" in told
    # with all reasons of the log expected, nothing counts
    ingest = tables.settings.ingest.model_copy(update={"expected_rejects": ("returned", "unknown_item", *"abcde")})
    validate(tables, settings=tables.settings.model_copy(update={"ingest": ingest}))
    assert failed(tables) == set()


def test_rejects_of_the_catalogue_are_explained(tables: SparkLake) -> None:
    fill(tables, [event(1)], [counted(NIGHT, 1)])
    tables.write(
        ITEMS_REJECTED,
        [{"ds": FIRST_CATALOGUE, "reason": "missing_item_id", "raw": '{"title": "x"}', "source_file": "items/a.csv"}],
    )
    with pytest.raises(QualityError) as error:
        validate(tables)
    told = (
        'Rejected of 3 records: missing_item_id 33.3%; for example (missing_item_id) in items/a.csv: {"title": "x"}. '
    )
    assert f"{told}If the catalogue is right, raise [quality] max_rejected_item_share. Nothing" in str(error.value)


def test_every_critical_bound_is_a_setting(settings: Settings) -> None:
    checks = [*events_suite(settings, allow_empty=False, has_past=True), *items_suite(settings)]
    bounds = [check for check in checks if check.severity == "critical" and (check.low, check.high) != (0, 0)]
    assert {check.setting for check in bounds} == {
        f"[quality] {name}"
        for name in ("min_events", "max_rejected_share", "min_volume_ratio", "min_items", "min_available_items",
                     "max_rejected_item_share")
    }  # fmt: skip
    named = {check.setting.replace("[quality] ", "quality.") for check in checks if check.setting}
    assert named == {name for name in names() if name.startswith("quality.")}


def test_a_night_that_was_not_ingested_is_no_quality_problem(tables: SparkLake) -> None:
    fill(tables, [], [])
    with pytest.raises(InputError, match="no row for 2017-12-23: run clean_events"):
        validate(tables)


def test_item_metrics_see_repeated_ids_wrong_hashes_and_missing_texts(tables: SparkLake) -> None:
    tables.write(ITEMS, [
        item("milk", "milk"), item("milk", "milk"), item("tea", "tea", text_hash="old", available=False),
        item("x", "", title=None, price=-1.0),
    ])  # fmt: skip
    tables.write(
        ITEMS_REJECTED, [{"ds": FIRST_CATALOGUE, "reason": "missing_item_id", "raw": "{}", "source_file": "f"}]
    )
    assert items_metrics(tables.settings, catalogue_rows(tables.spark, tables.settings, NIGHT)) == {
        "rows": 4, "item_ids": 3, "item_id_repeated": 1, "hash_wrong": 1, "available": 3, "textless": 1,
        "textless_share": 0.25, "price_negative": 1, "price_negative_share": 0.25, "raw": 5, "rejected_share": 0.2,
    }  # fmt: skip


def test_volume_is_compared_with_days_that_had_logs() -> None:
    def ratio(clean: list[int], night: int, rejected: int = 0, **shop: Any) -> dict[str, float]:
        days = {NIGHT - timedelta(days=n): counted(NIGHT, count, rejected) for n, count in enumerate(clean, 1)}
        return volume_metric(days | {NIGHT: counted(NIGHT, night)}, Shop(**shop), NIGHT)

    assert ratio([100] * 6 + [0] * 30, 50) == {}
    assert ratio([100] * 7 + [0] * 30, 50) == {"volume_ratio": 0.5}
    assert ratio([100] * 28 + [9000] * 30, 50) == {"volume_ratio": 0.5}
    assert ratio([100] * 28, 0) == {}
    assert ratio([100] * 10 + [0] * 11, 50, rejected=1) == {}  # the median of 21 logs, of which 11 held no event
    assert ratio([100] * 11 + [0] * 10, 50, rejected=1) == {"volume_ratio": 0.5}
    assert ratio([100] * 28, 1, closed_dates=(NIGHT,)) == {}


def test_a_check_that_cannot_be_made_is_an_input_error_not_bad_data() -> None:
    checks = [Check("rows", "rows", "critical", low=1), Check("ghost", "not measured", "critical", low=0)]
    with pytest.raises(InputError, match=r"'ghost' of suite events could not be evaluated: .*not measured"):
        gate.judge("events", checks, {"rows": 1.0})


def test_bounds_are_inclusive_unless_they_are_not() -> None:
    checks = [
        Check("at", "one", "critical", low=1, high=1), Check("above", "one", "warning", low=1, above=True),
        Check("below", "one", "warning", high=0.5),
    ]  # fmt: skip
    results = gate.judge("events", checks, {"one": 1.0})
    assert [(r.expectation, r.severity, r.success, r.expected, r.observed) for r in results] == [
        ("at", "critical", True, "1", "1"),
        ("above", "warning", False, "more than 1", "1"),
        ("below", "warning", False, "at most 0.5", "1"),
    ]


def test_metrics_of_a_table_with_other_columns_are_refused(tables: SparkLake) -> None:
    fill(tables, [event(1)], [counted(NIGHT, 1)])
    path = str(tables.settings.lake / "events")
    # a column that can be null may be younger than the table, one that cannot is missing
    frame = tables.spark.read.format("delta").load(path).drop("behaviour")
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(path)
    with pytest.raises(InputError, match=r"missing column behaviour \(string\)"):
        measure(tables)
