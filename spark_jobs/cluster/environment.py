"""The variables with which every start of Spark finds this Python and the one file of options. Imports no Spark."""

from __future__ import annotations

import sys
from pathlib import Path

from contracts.settings import Settings


def spark_defaults(settings: Settings) -> Path:
    """The one file of Spark options, written by `nightshift/runtime/setup_spark.py`."""
    return settings.home / "spark" / "spark-defaults.conf"


def spark_environment(settings: Settings) -> dict[str, str]:
    """Variables for spark-submit, for pytest and for a step that is run by hand alike.

    SPARK_CONF_DIR, where Spark would look for the file by itself, is an empty folder: it is the first entry of
    the class path, and Java keeps no archive of classes when a folder on the class path holds anything.
    spark-submit is told the file by its caller, a session that Python starts by PYSPARK_SUBMIT_ARGS.
    """
    return {
        "SPARK_CONF_DIR": str(settings.home / "spark" / "conf"),
        # another Python on the PATH would break the workers in ways that are hard to read
        "PYSPARK_PYTHON": settings.spark.executor_python or sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"--properties-file {spark_defaults(settings)} pyspark-shell",
    }
