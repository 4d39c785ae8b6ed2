"""Runs through `airflow dags test`: which interval they own, what of their log reaches the screen, one at a time."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest

from contracts.settings import PROJECT, Settings
from nightshift.runtime.airflow_runs import Progress, RunError, log_file, model, night, run_to_end

LOG = """\
T [info     ] [DAG TEST] starting task_id=land_events map_index=-1 [airflow.sdk] loc=dag.py:1501
T [info     ] 15:23:15 INFO nightshift: 83 log files. [airflow.task.operators.wiring.jobs.PythonJob] loc=jobs.py:1
T [info     ] Task instance state updated    [airflow.api] correlation_id=1 new_state=success rows_affected=1
T [info     ] [DAG TEST] end task task_id=land_events map_index=-1 [airflow.sdk] loc=dag.py:1563
T [info     ] [DAG TEST] starting task_id=validate map_index=-1 [airflow.sdk] loc=dag.py:1501
T [error    ] nightshift: ERROR: too few rows: 3 [airflow.task.operators.wiring.jobs.SparkJob] loc=failures.py:5
T [info     ] Task instance state updated    [airflow.api] correlation_id=1 new_state=failed rows_affected=1
T [info     ] [DAG TEST] end task task_id=validate map_index=-1 [airflow.sdk] loc=dag.py:1563
"""


def test_a_run_is_asked_for_just_after_the_end_of_its_interval() -> None:
    assert night(date(2017, 12, 31)).logical_date == "2018-01-01T00:00:01+00:00"
    assert model(date(2017, 12, 23)).logical_date == "2017-12-23T00:00:01+00:00"


def test_progress_shows_a_line_a_task_and_keeps_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    copy, progress = io.StringIO(), Progress()
    progress.follow(io.StringIO(LOG), copy)
    assert copy.getvalue() == LOG
    assert progress.error == "nightshift: ERROR: too few rows: 3"
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(words[0], words[3:]) for words in shown] == [("land_events", []), ("validate", ["FAILED"])]


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
from nightshift.runtime.airflow_runs import alone, log_file
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
    with process(settings, "-m", "nightshift.runtime.airflow_runs", "night", "--ds", ds) as run:
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


@pytest.mark.parametrize("words", [[], ["day"], ["--ds", "2017-12-23"]])
def test_a_word_that_names_no_run_gets_the_usage(settings: Settings, words: list[str]) -> None:
    with process(settings, "-m", "nightshift.runtime.airflow_runs", *words) as run:
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    assert err.startswith("usage: python -m nightshift.runtime.airflow_runs night|model")
    assert len(err.splitlines()) == 1
