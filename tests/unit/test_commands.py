"""Commands under a name: one at a time, the log in a file, and the reason of a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contracts.settings import PROJECT, Settings
from nightshift.runtime.commands import RunError, log_file, run_to_end


def process(settings: Settings, *command: str) -> subprocess.Popen[str]:
    """A Python process of the project in the test's home."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT,
        env={**os.environ, "NIGHTSHIFT_HOME": str(settings.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


HOLD = """
import time
from contracts.settings import load_settings
from nightshift.runtime.commands import alone, log_file
settings = load_settings()
with alone(settings, "night-2017-12-23"):
    log_file(settings, "night-2017-12-23").write_text("of the first run")
    print("runs", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A process in which the night 2017-12-23 runs."""
    with process(settings, "-c", HOLD) as running:
        try:
            assert running.stdout
            assert running.stdout.readline() == "runs\n"
            yield running
        finally:
            running.kill()


def second_run(settings: Settings, ds: str) -> tuple[int, str]:
    """Exit code and output of the same program for a night."""
    with process(settings, "-m", "nightshift", "night", ds) as run:
        out, err = run.communicate(timeout=60)
    return run.returncode, out + err


def test_a_second_run_of_the_same_night_ends_at_once_and_touches_nothing(settings: Settings) -> None:
    with holder(settings):
        exit_code, output = second_run(settings, "2017-12-23")
    log = log_file(settings, "night-2017-12-23")
    assert exit_code == 64
    assert output == (
        f"nightshift: ERROR: night-2017-12-23 runs already (its log: {log}): wait for its end, or stop it first.\n"
    )
    assert log.read_text() == "of the first run"


def test_the_lock_of_a_run_ends_with_its_process(settings: Settings) -> None:
    with holder(settings) as running:
        running.send_signal(signal.SIGKILL)
        running.wait()
        run_to_end(settings, "night-2017-12-23", [sys.executable, "-c", "print('of the second run')"])
    assert log_file(settings, "night-2017-12-23").read_text() == "of the second run\n"


def test_runs_of_other_names_do_not_wait(settings: Settings) -> None:
    with holder(settings):
        run_to_end(settings, "night-2017-12-24", [sys.executable, "-c", ""])


def test_a_run_that_fails_says_why_and_where_its_log_is(settings: Settings) -> None:
    script = "import sys; print('nightshift: ERROR: no logs'); sys.exit(65)"
    with pytest.raises(RunError, match=r"night-1 failed: no logs\n.*logs/night-1\.log"):
        run_to_end(settings, "night-1", [sys.executable, "-c", script])
    # and it can be started again
    run_to_end(settings, "night-1", [sys.executable, "-c", ""])
