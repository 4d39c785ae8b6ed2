"""What a home needs before its first run: what `make setup` does, for a home that it has not seen.

Each part has a lock: of two programs that find the same new home, the second one waits for the first.
"""

from __future__ import annotations

import sys

from contracts.cli import NoArguments
from contracts.settings import Settings
from nightshift.runtime import setup_airflow, setup_mlflow, setup_spark
from spark_jobs.cluster.environment import spark_defaults


def prepare_spark(settings: Settings) -> None:
    """Delta's jars, Spark's options as the settings say now, and the class archive.

    Raises:
        SettingsError: Java does not start, or Maven Central could not be reached.
    """
    if not spark_defaults(settings).exists():
        print(f"Preparing {settings.home} for its first run (once, half a minute) …", file=sys.stderr, flush=True)
    setup_spark.run(settings, NoArguments())


def prepare(settings: Settings) -> None:
    """Spark, and the databases of Airflow and MLflow.

    Raises:
        SettingsError: one of them cannot be prepared.
    """
    prepare_spark(settings)
    setup_airflow.run(settings, NoArguments())
    setup_mlflow.run(settings, NoArguments())
