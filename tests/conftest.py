"""What all tests share: a home of their own, nothing of whoever runs them but the set-up, and a mark by folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from contracts.cli import NoArguments
from contracts.settings import Settings, load_settings
from nightshift.runtime import setup_airflow
from nightshift.runtime.environment import airflow_home

MARKS = {"spark": pytest.mark.spark, "dags": pytest.mark.airflow, "e2e": pytest.mark.e2e}
"""Mark of all tests of a folder. The tests of all others need neither Spark nor Airflow."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests by their folder."""
    here = Path(__file__).parent
    for item in items:
        if mark := MARKS.get(item.path.relative_to(here).parts[0]):
            item.add_marker(mark)


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


@pytest.fixture(scope="session")
def prepared_airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared Airflow's database: made once for all processes of the tests, because it takes 15 seconds."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    settings = load_settings({"NIGHTSHIFT_HOME": str(shared / "airflow-template"), "NIGHTSHIFT_PROFILE": "demo"})
    with FileLock(shared / "airflow-template.lock"):
        setup_airflow.run(settings, NoArguments())
    return airflow_home(settings) / "airflow.db"


# the speed of the machine is no property of the code
hypothesis.settings.register_profile("nightshift", deadline=None)
hypothesis.settings.load_profile("nightshift")
