"""What all tests share: nothing of whoever runs them but the set-up, and a home of each test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from spark_jobs.contracts.settings import Settings, load_settings


@pytest.fixture(scope="session", autouse=True)
def nothing_from_outside() -> Iterator[None]:
    """Only NIGHTSHIFT_HOME stays: there set-up put Delta's jars and Spark's options."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AIRFLOW", "MLFLOW", "SPARK_", "PYSPARK_")) or name == "NIGHTSHIFT_PROFILE":
                patch.delenv(name)
        # tests are starts of Java and short jobs: compiling thoroughly costs twice the processor time of all else
        patch.setenv("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo profile in a home of its own."""
    return load_settings({"NIGHTSHIFT_HOME": str(tmp_path / "home"), "NIGHTSHIFT_PROFILE": "demo"})


# the speed of the machine is no property of the code
hypothesis.settings.register_profile("nightshift", deadline=None)
hypothesis.settings.load_profile("nightshift")
