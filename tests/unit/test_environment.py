"""The environment of Airflow, Spark and the jobs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.settings import PROJECT, load_settings
from nightshift.runtime.environment import airflow_home, environment


def test_a_server_keeps_its_own_airflow_and_nothing_else_of_the_caller_takes_part(tmp_path: Path) -> None:
    settings = load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    base = {
        "PATH": "/usr/bin",
        "AIRFLOW_HOME": "/elsewhere",
        "SPARK_HOME": "/another/spark",
        "SPARK_LOCAL_IP": "",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    }
    made = environment(settings, base)
    assert made["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert made["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert made["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert not {"SPARK_HOME", "SPARK_LOCAL_IP"} & made.keys()
    assert json.loads(made["AIRFLOW_CONN_SPARK_DEFAULT"]) == {"conn_type": "spark", "host": "local[2]"}
    assert environment(settings, made) == made | {"SPARK_LOCAL_IP": "127.0.0.1"}


def test_the_jwt_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    name = "AIRFLOW__API_AUTH__JWT_SECRET"
    assert environment(settings, {})[name] == environment(settings, {})[name]
    assert stat.S_IMODE((airflow_home(settings) / "jwt_secret").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "exit_code", "output"),
    [
        ([sys.executable, "-c", "import os; print(os.environ['AIRFLOW_HOME'])"], 0, "{home}/airflow\n"),
        (["--help"], 0, "usage: "),
        (["--ds", "1"], 2, "usage: "),
        ([], 64, "nightshift: ERROR: No command"),
        (["no-such-program"], 64, "nightshift: ERROR: There is no program 'no-such-program'"),
    ],
    ids=["command", "help", "option", "nothing", "no-program"],
)
def test_a_command_runs_in_it(tmp_path: Path, words: list[str], exit_code: int, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nightshift.runtime.environment", *words],
        cwd=PROJECT,
        env={**os.environ, "NIGHTSHIFT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code
    assert (done.stdout + done.stderr).startswith(output.format(home=tmp_path))
