"""An Airflow of their own for the DAG tests: an empty home with a migrated database, made once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from contracts.settings import PROJECT, Settings, load_settings
from nightshift.runtime.environment import airflow_home, environment


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, prepared_airflow: Path) -> Settings:
    """The demo profile in a home of its own, with Airflow prepared."""
    made = load_settings({"NIGHTSHIFT_HOME": str(tmp_path_factory.mktemp("home")), "NIGHTSHIFT_PROFILE": "demo"})
    shutil.copytree(prepared_airflow, airflow_home(made), ignore=shutil.ignore_patterns("airflow.cfg", "logs"))
    return made


@pytest.fixture(scope="session")
def airflow_environ(settings: Settings) -> dict[str, str]:
    """The environment of that Airflow, with `wiring` importable from other DAG folders too."""
    return environment(settings, {**os.environ, "PYTHONPATH": str(PROJECT / "dags")})


@pytest.fixture(scope="session")
def airflow_database(settings: Settings) -> Path:
    """File of that Airflow's database."""
    return airflow_home(settings) / "airflow.db"
