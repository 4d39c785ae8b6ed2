"""One Spark session for all Spark tests, and a lake of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import storage
from spark_jobs.contracts.settings import Settings, load_settings
from spark_jobs.contracts.tables import Table
from spark_jobs.environment import spark_environment
from spark_jobs.session import ship_code

TINY = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # frames of a few rows: compiling them costs more than it saves
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.enabled": "false",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the jars and extension of `spark-defaults.conf` (see `spark_jobs/setup_spark.py`)."""
    os.environ.update(spark_environment(load_settings()), SPARK_LOCAL_IP="127.0.0.1")
    folder = tmp_path_factory.mktemp("spark")
    builder = SparkSession.builder.appName("nightshift tests")
    for name, value in (TINY | {"spark.sql.warehouse.dir": str(folder / "warehouse")}).items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    ship_code(made, folder)
    yield made
    made.stop()


@dataclass(frozen=True)
class Lake:
    """Literal rows in and out of the tables of a test's own lake."""

    spark: SparkSession
    settings: Settings

    def frame(self, table: Table, rows: Sequence[dict[str, Any]]) -> DataFrame:
        """Rows as a frame of the table's schema; columns that a row leaves out are null."""
        values = [tuple(row.get(name) for name in table.names) for row in rows]
        return self.spark.createDataFrame(values, table.ddl)

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Makes ``rows`` the whole content of a table."""
        storage.replace(self.frame(table, rows), self.settings, table, None)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, ordered by its key."""
        frame = storage.read(self.spark, self.settings, table).orderBy(*table.key)
        return [row.asDict(recursive=True) for row in frame.collect()]


@pytest.fixture
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """The test's own lake."""
    return Lake(spark, settings)
