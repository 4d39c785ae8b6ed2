"""A small lake without Spark: literal rows in real Delta tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from spark_jobs import storage
from spark_jobs.contracts.settings import Settings, load_settings
from spark_jobs.contracts.tables import RANKED_ITEM, Table

RANKED = pa.struct(
    {"rank": pa.int32(), "item_id": pa.string(), "score": pa.float64(), "source": pa.string(), "because": pa.string()}
)
TYPES = {
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "double": pa.float64(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "array<string>": pa.list_(pa.string()),
    "map<string,bigint>": pa.map_(pa.string(), pa.int64()),
    "map<string,double>": pa.map_(pa.string(), pa.float64()),
    f"array<{RANKED_ITEM}>": pa.list_(RANKED),
}
"""Spark's types of the contracts as Arrow types."""


@dataclass(frozen=True)
class ArrowLake:
    """Tables of a home of their own."""

    settings: Settings

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Makes ``rows`` the whole content of a table; columns that a row leaves out are null."""
        schema = pa.schema([(column.name, TYPES[column.type]) for column in table.columns])
        filled = [{name: row.get(name) for name in table.names} for row in rows]
        deltalake.write_deltalake(
            str(storage.path(self.settings, table)),
            pa.Table.from_pylist(filled, schema),
            mode="overwrite",
            partition_by=list(table.partition_by) or None,
        )


@pytest.fixture
def arrow_lake(tmp_path: Path) -> ArrowLake:
    """The test's own lake."""
    home = tmp_path / "home"
    return ArrowLake(load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"}))
