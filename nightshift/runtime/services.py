"""Airflow's processes on this machine: for as long as a command needs them, or for the UI until Ctrl-C.

One Airflow a home: whoever runs it holds a lock, and says in `airflow/running.json` where it answers. A command uses
the UI's where it runs, else it starts one of its own: scheduler and API server alone, because the DAGs are in its
database since set-up; and a triggerer where its run may have something to wait for.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import psutil
from filelock import FileLock, Timeout

from contracts.cli import NoArguments
from contracts.dag_runs import NIGHTLY, WEEKLY
from contracts.errors import NightshiftError
from contracts.files import write_atomically
from contracts.settings import Settings
from nightshift.runtime import setup_airflow
from nightshift.runtime.airflow_api import Api, answers
from nightshift.runtime.commands import lock_file, log_file
from nightshift.runtime.environment import airflow_home, environment, password_file

START_SECONDS = 180
STOP_SECONDS = 20

SCHEDULER = ("scheduler", "--skip-serve-logs")
API_SERVER = ("api-server",)
DAG_PROCESSOR = ("dag-processor",)
TRIGGERER = ("triggerer", "--skip-serve-logs")
"""Airflow's components, as its command line calls them."""

BY_HAND = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "false"}
"""Nothing starts by itself."""


@dataclass(frozen=True)
class Running:
    """An Airflow of this home: where it answers, whose it is, and its processes with the times of their start."""

    url: str
    purpose: str  # what it was started for, in words
    shared: bool  # whether other commands may use it: it stays up when theirs end
    owner: int  # process that will stop it
    processes: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, settings: Settings) -> Running | None:
        """What the home says; it may have ended since."""
        try:
            told = json.loads(_file(settings).read_text())
            return cls(**told | {"processes": tuple((pid, started) for pid, started in told["processes"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Services:
    """Airflow's components that this program has started."""

    url: str
    processes: tuple[subprocess.Popen[bytes], ...]
    logs: tuple[Path, ...]

    def check(self) -> None:
        """Asks whether every component still runs.

        Raises:
            NightshiftError: one ended; the message carries the end of its log.
        """
        for process, log in zip(self.processes, self.logs, strict=True):
            if process.poll() is not None:
                end = log.read_text(errors="replace")[-1500:]
                raise NightshiftError(f"Airflow ended by itself. The end of its log {log} says why:\n{end}")

    def wait_until_up(self) -> None:
        """Waits until the API server answers.

        Raises:
            NightshiftError: a component ended, or it took too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.url):
            self.check()
            if time.monotonic() > deadline:
                raise NightshiftError(
                    f"Airflow did not start within {START_SECONDS} s; its logs: {', '.join(map(str, self.logs))}"
                )
            time.sleep(0.5)


def _file(settings: Settings) -> Path:
    return airflow_home(settings) / "running.json"


@contextmanager
def airflow(settings: Settings, purpose: str, *, waits: bool = False) -> Iterator[Api]:
    """An Airflow to run something with: the one of this process or of the UI, else one of its own for this block.

    ``waits`` if a task may have to wait for something outside: then it has a triggerer.

    Raises:
        NightshiftError: it did not start.
    """
    said = ""
    lock = FileLock(lock_file(settings, "airflow"), timeout=0)
    while True:
        try:
            lock.acquire()
        except Timeout:
            running = Running.of(settings)
            if running and (running.shared or running.owner == os.getpid()) and answers(running.url):
                yield Api(settings, running.url)
                return
            busy = running.purpose if running else "another command"
            if said != busy:
                print(f"Waiting for the Airflow of {busy} …", flush=True)
                said = busy
            time.sleep(1)
            continue
        break
    try:
        components = (SCHEDULER, API_SERVER, *([TRIGGERER] if waits else []))
        with ended_by_signals(), started(settings, purpose, components, BY_HAND, shared=False) as services:
            api = Api(settings, services.url)
            for dag_id in (NIGHTLY, WEEKLY):
                # somebody asks for a run, and nothing else starts by itself here
                api.unpause(dag_id)
            for dag_id, run_id in api.unfinished():
                print(f"{run_id} was cut off before its end: it counts as failed.", flush=True)
                api.fail(dag_id, run_id)
            yield api
            # the last task has ended, and may still be telling people why
            with suppress(Timeout), FileLock(lock_file(settings, "alerts"), timeout=STOP_SECONDS):
                pass
    finally:
        lock.release()


@contextmanager
def started(
    settings: Settings,
    purpose: str,
    components: Sequence[Sequence[str]],
    options: Mapping[str, str],
    *,
    shared: bool,
    port: str | None = None,
) -> Iterator[Services]:
    """Airflow's components until the end of the block. The caller holds the home's lock.

    Raises:
        NightshiftError: one of them ended, or they took too long.
    """
    _stop_leftovers(settings)
    setup_airflow.run(settings, NoArguments())
    password_file(settings)
    environ = environment(settings, os.environ | options)
    environ["AIRFLOW__API__PORT"] = port or _free_port()
    # tasks find the server by it; what the environment of this program says is of another one
    url = environ["AIRFLOW__API__BASE_URL"] = f"http://{environ['AIRFLOW__API__HOST']}:{environ['AIRFLOW__API__PORT']}"
    logs = [log_file(settings, f"airflow-{name}") for name, *_ in components]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for component, log in zip(components, logs, strict=True):
            with log.open("wb") as output:
                # a session of its own: Ctrl-C reaches only this program, which ends them in order
                processes.append(
                    subprocess.Popen(
                        ["airflow", *component],
                        env=environ,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        services = Services(url, tuple(processes), tuple(logs))
        born = tuple((process.pid, psutil.Process(process.pid).create_time()) for process in processes)
        running = Running(url, purpose, shared, os.getpid(), born)
        write_atomically(_file(settings), json.dumps(asdict(running)))
        services.wait_until_up()
        yield services
    finally:
        stop([process.pid for process in processes])
        _file(settings).unlink(missing_ok=True)


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _stop_leftovers(settings: Settings) -> None:
    """Ends what a program that was killed left running: the lock is ours, so nobody needs it."""
    if running := Running.of(settings):
        for pid, born in running.processes:
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).create_time() == born:
                    stop([pid])
        _file(settings).unlink(missing_ok=True)


def family(pid: int) -> list[psutil.Process]:
    """A process and all that came from it; nobody where it has ended."""
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def stop(pids: Sequence[int], patience: float = STOP_SECONDS) -> None:
    """Ends processes and all that came from them, first kindly, then not.

    One by one, because Airflow gives each task a process group of its own.
    """
    members = [member for pid in pids for member in family(pid)]
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    deaf = psutil.wait_procs(members, patience)[1]
    for member in deaf:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    # a killed process takes a moment to go, and who comes next relies on its being gone
    psutil.wait_procs(deaf, STOP_SECONDS)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Lets the signals that end a program end the block the way Ctrl-C does, so that nothing stays behind."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {sign: signal.signal(sign, interrupt) for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
