"""One Spark session for all Spark tests, and a lake of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from contracts.settings import Settings, load_settings
from spark_jobs.cluster.environment import spark_environment
from spark_jobs.cluster.session import ship_code
from tests.lakes import TINY_SPARK, SparkLake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the jars and extension of `spark-defaults.conf` (see `nightshift/runtime/setup_spark.py`)."""
    os.environ.update(spark_environment(load_settings()), SPARK_LOCAL_IP="127.0.0.1")
    folder = tmp_path_factory.mktemp("spark")
    builder = SparkSession.builder.appName("nightshift tests")
    own = {"spark.master": "local[2]", "spark.sql.warehouse.dir": str(folder / "warehouse")}
    for name, value in (TINY_SPARK | own).items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    ship_code(made, folder)
    yield made
    made.stop()


@pytest.fixture
def tables(spark: SparkSession, settings: Settings) -> SparkLake:
    """The test's own lake."""
    return SparkLake(settings, spark)
