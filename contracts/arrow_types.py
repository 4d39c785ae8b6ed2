"""The contracts' types, which are Spark's, for tables that are read and written without Spark."""

from __future__ import annotations

from typing import Any

import deltalake.schema
import pyarrow as pa

from contracts.tables import RANKED_ITEM, Table

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
"""Arrow's type of each of Spark's that a table without Spark is written with."""

DELTA_NAMES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
"""Types that Delta calls otherwise than Spark."""


def schema(table: Table) -> pa.Schema:
    """A table's columns as an Arrow schema."""
    return pa.schema([pa.field(column.name, TYPES[column.type], column.nullable) for column in table.columns])


def spark_types(columns: deltalake.schema.Schema) -> dict[str, str]:
    """The columns of a Delta table with their types as Spark writes them."""
    return {column.name: _spark_type(column.type) for column in columns.fields}


def _spark_type(kind: Any) -> str:
    if isinstance(kind, deltalake.schema.ArrayType):
        return f"array<{_spark_type(kind.element_type)}>"
    if isinstance(kind, deltalake.schema.MapType):
        return f"map<{_spark_type(kind.key_type)},{_spark_type(kind.value_type)}>"
    if isinstance(kind, deltalake.schema.StructType):
        return f"struct<{','.join(f'{each.name}:{_spark_type(each.type)}' for each in kind.fields)}>"
    return DELTA_NAMES.get(kind.type, str(kind.type))
