"""Small tables are written without Spark: every type, one commit, nothing outside the predicate."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import deltalake
import pytest

from spark_jobs import storage
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import (
    INGEST_COUNTS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
)

FIRST, SECOND = date(2017, 12, 23), date(2017, 12, 24)


def publication(ds: date, run_id: str, **other: Any) -> tuple[object, ...]:
    row = {
        "ds": ds,
        "run_id": run_id,
        "status": "published",
        "reasons": [],
        "model_id": "m",
        "users": 3,
        "content_hash": "h",
        "table_versions": {"items": 4, "events": 2},
        "measures": {"churn": 0.25},
        "published_at": datetime(2017, 12, 24, 3, 4, 5, 678, tzinfo=UTC),
    }
    return tuple((row | other)[name] for name in PUBLICATIONS.names)


def test_every_type_comes_back_as_it_went_in(settings: Settings) -> None:
    row = publication(FIRST, "it's <run>", reasons=["a", "b"])
    storage.replace_small(settings, PUBLICATIONS, [row], "ds = '2017-12-23'")
    (found,) = storage.small_rows(settings, PUBLICATIONS)
    assert tuple(found[name] for name in PUBLICATIONS.names) == row


def test_only_rows_of_the_predicate_are_replaced(settings: Settings) -> None:
    for ds in (FIRST, SECOND):
        storage.replace_small(settings, INGEST_COUNTS, [(ds, 1, 9, 8, 1, 0)], f"ds = '{ds}'")
    storage.replace_small(settings, INGEST_COUNTS, [(SECOND, 2, 5, 5, 0, 0)], f"ds = '{SECOND}'")
    storage.replace_small(settings, INGEST_COUNTS, [(SECOND, 2, 5, 5, 0, 0)], f"ds = '{SECOND}'")
    rows = storage.small_rows(settings, INGEST_COUNTS)
    assert sorted((row["ds"], row["raw"]) for row in rows) == [(FIRST, 9), (SECOND, 5)]


def test_a_row_outside_the_predicate_changes_nothing(settings: Settings) -> None:
    storage.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, 9, 8, 1, 0)], f"ds = '{FIRST}'")
    before = storage.version(settings, INGEST_COUNTS)
    with pytest.raises(deltalake.exceptions.DeltaError):
        storage.replace_small(settings, INGEST_COUNTS, [(FIRST, 1, 9, 8, 1, 0)], f"ds = '{SECOND}'")
    assert storage.version(settings, INGEST_COUNTS) == before


def test_tables_keep_the_nullability_of_their_contract(settings: Settings) -> None:
    row = ("m", "s", "all", "ndcg@10", 0.5, None, None, 7)
    storage.replace_small(settings, MODEL_EVALUATIONS, [row], "snapshot_id = 's'")
    assert storage.small_rows(settings, MODEL_EVALUATIONS)[0]["ci_low"] is None
    with pytest.raises(deltalake.exceptions.DeltaError, match=r"metric.*non-nullable"):
        storage.replace_small(settings, MODEL_EVALUATIONS, [("m", "s", "all", None, *row[4:])], "snapshot_id = 's'")


def test_rows_are_counted_without_spark(settings: Settings) -> None:
    assert storage.count(settings, RECOMMENDATIONS, {"ds": FIRST}) == 0
    rows = [(FIRST, "r", "events", f"e{n}", "critical", True, "x", None) for n in range(3)]
    storage.replace_small(settings, QUALITY_RESULTS, rows, f"ds = '{FIRST}' AND suite IN ('events')")
    assert storage.count(settings, QUALITY_RESULTS, {"ds": FIRST}) == 3
    assert storage.count(settings, QUALITY_RESULTS, {"ds": SECOND}) == 0
