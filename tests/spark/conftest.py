"""One Spark session for all Spark tests, and a lake of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from contracts.settings import Settings, load_settings
from spark_jobs.cluster.environment import spark_environment
from spark_jobs.cluster.session import ship_code
from tests.lakes import SparkLake

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
    """A session with the jars and extension of `spark-defaults.conf` (see `nightshift/runtime/setup_spark.py`)."""
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


@pytest.fixture
def tables(spark: SparkSession, settings: Settings) -> SparkLake:
    """The test's own lake."""
    return SparkLake(spark, settings)
