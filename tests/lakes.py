"""Literal rows in and out of real Delta tables, with Spark and without."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import deltalake
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts import lake
from contracts.arrow_types import schema
from contracts.settings import Settings
from contracts.tables import Table

TINY_SPARK = {
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # frames of a few rows: compiling them costs more than it saves
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.enabled": "false",
}
"""Options of Spark for frames of a few rows."""


def noted(note: Mapping[str, object]) -> deltalake.CommitProperties:
    """What a commit by Spark with this note says."""
    return deltalake.CommitProperties(custom_metadata={"userMetadata": json.dumps(note, default=str)})


@dataclass(frozen=True)
class ArrowLake:
    """A test's own lake. Its Delta tables are read and written without Spark: a row is then there in a moment."""

    settings: Settings

    def write(
        self,
        table: Table,
        rows: Sequence[dict[str, Any]] | pa.Table,
        row_group: int | None = None,
        note: Mapping[str, object] | None = None,
    ) -> None:
        """Makes ``rows`` the whole content of a table; columns that a row leaves out are null.

        ``row_group`` is the most rows of a row group of its files, ``note`` that of the commit, as of `lake.replace`.
        """
        columns = pa.schema([field.with_nullable(True) for field in schema(table)])
        if not isinstance(rows, pa.Table):
            filled = [{name: row.get(name) for name in table.names} for row in rows]
            rows = pa.Table.from_pylist(filled, columns)
        deltalake.write_deltalake(
            str(lake.path(self.settings, table)),
            rows,
            mode="overwrite",
            partition_by=list(table.partition_by) or None,
            writer_properties=deltalake.WriterProperties(max_row_group_size=row_group),
            commit_properties=noted(note) if note else None,
        )

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, ordered by its key."""
        found = lake.arrow(self.settings, table)
        return list(found.sort_by([(name, "ascending") for name in table.key]).to_pylist(maps_as_pydicts="strict"))


@dataclass(frozen=True)
class SparkLake(ArrowLake):
    """A test's own lake, with the session of the steps that are tested on it."""

    spark: SparkSession

    def frame(self, table: Table, rows: Sequence[dict[str, Any]]) -> DataFrame:
        """Rows as a frame of the table's schema; columns that a row leaves out are null."""
        values = [tuple(row.get(name) for name in table.names) for row in rows]
        return self.spark.createDataFrame(values, table.ddl)
