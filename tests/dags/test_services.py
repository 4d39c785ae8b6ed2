"""Airflow's processes for a command: what a program that was killed leaves behind is cleared away by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from contracts.dag_runs import WEEKLY
from contracts.settings import PROJECT, Settings
from nightshift.runtime.airflow_api import AirflowError
from nightshift.runtime.services import Running, airflow

pytestmark = pytest.mark.timeout(900)

RUN_ID = "model-2017-12-23--cut-off"

# its first task finds no Spark here and is tried again a minute later: the run is under way all the time
HOLD = f"""
import time
from datetime import UTC, date, datetime
from contracts.settings import load_settings
from nightshift.runtime.airflow_runs import model
from nightshift.runtime.services import airflow
settings = load_settings()
run = model(date(2017, 12, 23))
with airflow(settings, "a model") as api:
    bounds = run.interval.bounds(settings.shop.zone)
    api.start(run.dag_id, "{RUN_ID}", datetime.now(UTC), bounds, {{}})
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def killed(settings: Settings) -> Iterator[list[psutil.Process]]:
    """The Airflow of a program that was killed while a run went on."""
    environ = {**os.environ, "NIGHTSHIFT_HOME": str(settings.home), "NIGHTSHIFT_PROFILE": "demo"}
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True)
    left: list[psutil.Process] = []
    try:
        assert holder.stdout
        while holder.stdout.readline() not in ("runs\n", ""):
            pass
        running = Running.of(settings)
        assert running
        left = [psutil.Process(pid) for pid, _ in running.processes]
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        yield left
    finally:
        holder.kill()
        for process in left:
            if process.is_running():
                process.kill()


def test_the_next_command_ends_what_is_left_and_counts_its_run_as_failed(
    settings: Settings, killed: list[psutil.Process], capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(process.is_running() for process in killed)
    with airflow(settings, "the next night") as api:
        assert not any(process.is_running() for process in killed)
        assert api.unfinished() == []
        with pytest.raises(AirflowError, match=r"nobody would wake it: .* has no triggerer"):
            api.require_triggerer()
        assert api.state(WEEKLY, RUN_ID) == "failed"
        # this process shares it with itself, and nobody else
        with airflow(settings, "a run of the next night") as same:
            assert same.url == api.url
        processes = [psutil.Process(pid) for pid, _ in (Running.of(settings) or pytest.fail("runs nowhere")).processes]
    assert f"{RUN_ID} was cut off" in capsys.readouterr().out
    assert not any(process.is_running() for process in processes)
    assert Running.of(settings) is None
