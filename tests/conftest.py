"""What all tests share: a home of their own, nothing of whoever runs them but the set-up, and a mark by folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from contracts.cli import NoArguments
from contracts.settings import Settings, load_settings
from models.store.registry import database_file
from nightshift.runtime import setup_airflow, setup_mlflow
from nightshift.runtime.environment import airflow_home

# before anything imports torch: threads that wait for each other on two busy cores take most of a small step's time
os.environ["OMP_NUM_THREADS"] = "1"

MARKS = {
    "spark": pytest.mark.spark,
    "dags": pytest.mark.airflow,
    "e2e": pytest.mark.e2e,
    "cluster": pytest.mark.cluster,
    "s3": pytest.mark.s3,
}
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
            if name.startswith(("AIRFLOW", "AWS_", "MLFLOW", "SPARK_", "PYSPARK_")) or name == "NIGHTSHIFT_PROFILE":
                patch.delenv(name)
        # tests are starts of Java and short jobs: compiling thoroughly costs twice the processor time of all else
        patch.setenv("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo profile in a home of its own."""
    return load_settings({"NIGHTSHIFT_HOME": str(tmp_path / "home"), "NIGHTSHIFT_PROFILE": "demo"})


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of the tests share, for what takes long to make and little to copy."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "templates"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def prepared_airflow(templates: Path) -> Path:
    """Home of an Airflow that is set up and has no runs."""
    settings = load_settings({"NIGHTSHIFT_HOME": str(templates / "airflow"), "NIGHTSHIFT_PROFILE": "demo"})
    setup_airflow.run(settings, NoArguments())
    return airflow_home(settings)


@pytest.fixture(scope="session")
def prepared_mlflow(templates: Path) -> Path:
    """Database of an MLflow without models."""
    settings = load_settings({"NIGHTSHIFT_HOME": str(templates / "mlflow"), "NIGHTSHIFT_PROFILE": "demo"})
    file = database_file(settings)
    assert file
    setup_mlflow.run(settings, NoArguments())
    return file


# the speed of the machine is no property of the code
hypothesis.settings.register_profile("nightshift", deadline=None)
hypothesis.settings.load_profile("nightshift")
