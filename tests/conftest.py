"""Keeps the Airflow and the settings of whoever runs the tests out of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest


@pytest.fixture(scope="session", autouse=True)
def nothing_from_outside() -> Iterator[None]:
    """Only NIGHTSHIFT_HOME stays: there set-up put Delta's jars and Spark's options."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AIRFLOW", "MLFLOW", "SPARK_", "PYSPARK_")) or name == "NIGHTSHIFT_PROFILE":
                patch.delenv(name)
        yield


# the speed of the machine is no property of the code
hypothesis.settings.register_profile("nightshift", deadline=None)
hypothesis.settings.load_profile("nightshift")
