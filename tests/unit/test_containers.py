"""The compose file and the Dockerfile, as far as they can be checked without an engine."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.settings import PROJECT

TOOLS = Path(sys.executable).parent
COMPOSE, DOCKERFILE = PROJECT / "docker-compose.yml", PROJECT / "Dockerfile"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file."""
    declared: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return declared


def test_the_compose_file_fits_its_schema() -> None:
    subprocess.run([TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE], check=True)


def test_the_dockerfile_passes_hadolint() -> None:
    subprocess.run([TOOLS / "hadolint", "--failure-threshold", "info", DOCKERFILE], check=True)


def test_nothing_is_reachable_from_outside(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_somebody_works_on_every_queue(services: dict[str, dict[str, Any]]) -> None:
    queues = {
        service["command"][service["command"].index("--queues") + 1]
        for service in services.values()
        if "--queues" in service.get("command", [])
    }
    assert queues == {"default", "gpu"}


def test_somebody_wakes_the_tasks_that_wait_and_sees_the_logs(services: dict[str, dict[str, Any]]) -> None:
    (triggerer,) = (service for service in services.values() if service.get("command") == ["airflow", "triggerer"])
    assert "nightshift:/var/nightshift" in triggerer["volumes"]


def test_make_env_writes_every_secret_once_and_only_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(PROJECT / "scripts" / "make_env.sh", tmp_path / "scripts")
    subprocess.run(["bash", script], check=True)
    made = tmp_path / ".env"
    first = made.read_text()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in first.splitlines() if not line.startswith("#"))
    assert set(values) == set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert all(len(value) >= 24 for value in values.values())
    assert len(set(values.values())) == len(values)
    subprocess.run(["bash", script], check=True)
    assert made.read_text() == first
    assert sorted(file.name for file in tmp_path.iterdir()) == [".env", "scripts"]
