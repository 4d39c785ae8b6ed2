"""An Airflow of their own for the DAG tests: an empty home with a migrated database, made once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_jobs import setup_airflow
from spark_jobs.contracts.settings import PROJECT, Settings, load_settings
from spark_jobs.environment import airflow_home, environment


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The demo profile in a home of its own, with Airflow prepared."""
    made = load_settings({"NIGHTSHIFT_HOME": str(tmp_path_factory.mktemp("home")), "NIGHTSHIFT_PROFILE": "demo"})
    setup_airflow.prepare(made)
    return made


@pytest.fixture(scope="session")
def airflow_environ(settings: Settings) -> dict[str, str]:
    """The environment of that Airflow, with `wiring` importable from other DAG folders too."""
    return environment(settings, {**os.environ, "PYTHONPATH": str(PROJECT / "dags")})


@pytest.fixture(scope="session")
def airflow_database(settings: Settings) -> Path:
    """File of that Airflow's database."""
    return airflow_home(settings) / "airflow.db"
