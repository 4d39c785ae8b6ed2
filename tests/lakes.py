"""Literal rows in and out of real Delta tables, with Spark and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import deltalake
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts import lake
from contracts.arrow_types import schema
from contracts.settings import Settings
from contracts.tables import Table


@dataclass(frozen=True)
class SparkLake:
    """A test's own lake, through Spark."""

    spark: SparkSession
    settings: Settings

    def frame(self, table: Table, rows: Sequence[dict[str, Any]]) -> DataFrame:
        """Rows as a frame of the table's schema; columns that a row leaves out are null."""
        values = [tuple(row.get(name) for name in table.names) for row in rows]
        return self.spark.createDataFrame(values, table.ddl)

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Makes ``rows`` the whole content of a table."""
        lake.replace(self.frame(table, rows), self.settings, table, None)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, ordered by its key."""
        frame = lake.read(self.spark, self.settings, table).orderBy(*table.key)
        return [row.asDict(recursive=True) for row in frame.collect()]


@dataclass(frozen=True)
class ArrowLake:
    """A test's own lake, without Spark."""

    settings: Settings

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Makes ``rows`` the whole content of a table; columns that a row leaves out are null."""
        columns = pa.schema([field.with_nullable(True) for field in schema(table)])
        filled = [{name: row.get(name) for name in table.names} for row in rows]
        deltalake.write_deltalake(
            str(lake.path(self.settings, table)),
            pa.Table.from_pylist(filled, columns),
            mode="overwrite",
            partition_by=list(table.partition_by) or None,
        )
