"""The only SparkSession, and the project's own code on the executors."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from contracts.errors import SettingsError
from contracts.settings import PROJECT, Settings
from spark_jobs.cluster.environment import spark_environment

SHIPPED = ("spark_jobs", "models", "contracts")
"""Packages that executors import: they are sent with every application, not expected on the machines."""


def ship_code(spark: SparkSession, folder: Path) -> None:
    """Zips the project's packages and sends them to the executors."""
    archive = folder / "nightshift.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for package in SHIPPED:
            for file in sorted((PROJECT / package).rglob("*.py")):
                packed.write(file, file.relative_to(PROJECT))
    spark.sparkContext.addPyFile(str(archive))


@contextmanager
def session(name: str, settings: Settings, *, java_options: str = "") -> Iterator[SparkSession]:
    """A Spark session for one job, stopped at its end whatever happens.

    Master, jars and Delta's extension come from `spark-defaults.conf` (see `nightshift/runtime/setup_spark.py`), so
    that spark-submit, pytest and the command line run alike. ``java_options`` are more options of the driver's Java,
    for a session that this process starts itself.

    Raises:
        SettingsError: Java or Spark's options are missing.
    """
    variables = {**spark_environment(settings), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SUBMIT_OPTS": java_options}
    for variable, value in variables.items():
        os.environ.setdefault(variable, value)
    try:
        spark = SparkSession.builder.appName(f"nightshift {name}").getOrCreate()
    except PySparkRuntimeError as error:
        raise SettingsError(
            f"Spark did not start ({error.getCondition()}): `make setup` prepares it, `nightshift doctor` says what is "
            "missing."
        ) from error
    spark.sparkContext.setLogLevel("ERROR")
    try:
        with TemporaryDirectory(prefix="nightshift-") as folder:
            ship_code(spark, Path(folder))
            yield spark
    finally:
        spark.stop()
