"""Spark's types of the contracts as Arrow types, for tables that are written without Spark."""

from __future__ import annotations

import pyarrow as pa

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


def schema(table: Table) -> pa.Schema:
    """A table's columns as an Arrow schema."""
    return pa.schema([pa.field(column.name, TYPES[column.type], column.nullable) for column in table.columns])
