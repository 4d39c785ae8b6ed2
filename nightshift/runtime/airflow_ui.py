"""Airflow's UI, scheduler and workers on this machine until Ctrl-C, which ends everything that was started.

    python -m nightshift.runtime.airflow_ui        (make ui)

The password of the user admin is made the first time. Whether nights start by themselves at the shop's midnight is the
setting `scheduled` in `[airflow]`.
"""

from __future__ import annotations

import os
import time

from filelock import FileLock, Timeout

from contracts.cli import NoArguments, main
from contracts.errors import SettingsError
from contracts.settings import Settings
from nightshift.runtime.airflow_api import answers
from nightshift.runtime.commands import lock_file, log_file
from nightshift.runtime.environment import environment, password_file
from nightshift.runtime.services import (
    API_SERVER,
    BY_HAND,
    DAG_PROCESSOR,
    SCHEDULER,
    TRIGGERER,
    Running,
    ended_by_signals,
    started,
)


def run(settings: Settings, _: NoArguments) -> None:
    """Shows the UI until Ctrl-C.

    Raises:
        SettingsError: the address is taken, or an Airflow of this home runs already.
        NightshiftError: Airflow did not start, or ended by itself.
    """
    environ = environment(settings, os.environ)
    host, port = environ["AIRFLOW__API__HOST"], environ["AIRFLOW__API__PORT"]
    if answers(f"http://{host}:{port}"):
        raise SettingsError(f"Something answers on http://{host}:{port} already: stop it, or set AIRFLOW__API__PORT.")
    lock = FileLock(lock_file(settings, "airflow"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        running = Running.of(settings)
        of = f" of {running.purpose} (process {running.owner})" if running else ""
        raise SettingsError(f"The Airflow{of} runs on this home: wait for its end, or stop it first.") from error
    scheduled = settings.airflow.scheduled
    print(f"Starting Airflow (logs: {log_file(settings, 'airflow-*')}) …", flush=True)
    try:
        with (
            lock,
            ended_by_signals(),
            started(
                settings,
                "make ui",
                (SCHEDULER, API_SERVER, DAG_PROCESSOR, TRIGGERER),
                {} if scheduled else BY_HAND,
                shared=True,
                port=port,
            ) as services,
        ):
            print(f"Airflow UI: {services.url}\nUser admin; the password is in {password_file(settings)}", flush=True)
            how = "at the shop's midnight" if scheduled else "only by hand ([airflow] scheduled = true changes that)"
            print(f"Nights start {how}. Ctrl-C stops everything.", flush=True)
            while True:
                services.check()
                time.sleep(1)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
