"""Airflow's UI, scheduler and workers on this machine until Ctrl-C, which ends everything that was started.

    python -m nightshift.runtime.airflow_ui        (make ui)

The password of the user admin is made the first time.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from contracts.cli import NoArguments, main
from contracts.errors import NightshiftError, SettingsError
from contracts.files import write_atomically
from contracts.settings import Settings
from nightshift.runtime.airflow_runs import log_file
from nightshift.runtime.environment import airflow_home, environment

START_SECONDS = 180
STOP_SECONDS = 20


def password_file(settings: Settings) -> Path:
    """Airflow's file with the password of the user admin, made where it is missing, readable by its owner only."""
    file = airflow_home(settings) / "simple_auth_manager_passwords.json.generated"
    if not file.exists():
        write_atomically(file, json.dumps({"admin": secrets.token_urlsafe(16)}), mode=0o600)
    return file


def is_up(url: str) -> bool:
    """Whether the API server answers."""
    try:
        with urlopen(f"{url}/api/v2/monitor/health", timeout=5):
            return True
    except (URLError, OSError):
        return False


@contextmanager
def standalone(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`airflow standalone`, which ends with everything that it started.

    Stopped alone, it would leave scheduler, API server, triggerer and workers running. It is in a session of its
    own so that Ctrl-C reaches only this program.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            ["airflow", "standalone"],
            env=environment(settings, os.environ),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        print("Stopping Airflow …", flush=True)
        stop(process)


def stop(process: subprocess.Popen[bytes], patience: float = STOP_SECONDS) -> None:
    """Ends a process and all that came from it, first kindly, then not.

    One by one, because Airflow gives each task a process group of its own.
    """
    if process.poll() is not None:
        return
    leader = psutil.Process(process.pid)
    family = [leader, *leader.children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    for member in psutil.wait_procs(family, patience)[1]:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Waits until the API server answers.

    Raises:
        NightshiftError: it ended, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while not is_up(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NightshiftError(
                f"Airflow did not start. The end of its log {log} says why:\n{log.read_text(errors='replace')[-1500:]}"
            )
        time.sleep(1)


def interrupt(*_: object) -> NoReturn:
    """Makes a signal end the program the way Ctrl-C does."""
    raise KeyboardInterrupt


def run(settings: Settings, _: NoArguments) -> None:
    """Shows the UI until Ctrl-C.

    Raises:
        SettingsError: the address is taken.
        NightshiftError: Airflow did not start, or ended by itself.
    """
    environ = environment(settings, os.environ)
    url = f"http://{environ['AIRFLOW__API__HOST']}:{environ['AIRFLOW__API__PORT']}"
    if is_up(url):
        raise SettingsError(f"Something answers on {url} already: stop it, or set AIRFLOW__API__PORT.")
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, interrupt)
    log = log_file(settings, "ui")
    passwords = password_file(settings)
    print(f"Starting Airflow (log: {log}) …", flush=True)
    try:
        with standalone(settings, log) as process:
            wait_until_up(process, url, log)
            print(f"Airflow UI: {url}\nUser admin; the password is in {passwords}", flush=True)
            print("Ctrl-C stops everything.", flush=True)
            process.wait()
            raise NightshiftError(f"Airflow ended by itself; its log is {log}")
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
