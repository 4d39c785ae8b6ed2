"""The contracts' types, which are Spark's, for tables that are read and written without Spark."""

from __future__ import annotations

from typing import Any

import deltalake.schema
import pyarrow as pa

from contracts.tables import Table

SCALARS = {
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "double": pa.float64(),
    "float": pa.float32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
}
"""Arrow's type of each of Spark's that has no parts."""

DELTA_NAMES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
"""Types that Delta calls otherwise than Spark."""


def schema(table: Table) -> pa.Schema:
    """A table's columns as an Arrow schema."""
    return pa.schema([pa.field(column.name, arrow_type(column.type), column.nullable) for column in table.columns])


def arrow_type(kind: str) -> pa.DataType:
    """Arrow's type of one of Spark's, as the contracts write it: scalars, and arrays, maps and structs of these."""
    outer, _, inner = kind.partition("<")
    inner = inner.removesuffix(">")
    if outer == "array":
        return pa.list_(arrow_type(inner))
    if outer == "map":
        return pa.map_(*map(arrow_type, inner.split(",")))
    if outer == "struct":
        return pa.struct([(name, arrow_type(of)) for name, of in (field.split(":") for field in inner.split(","))])
    return SCALARS[kind]


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
