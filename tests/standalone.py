"""A standalone master of Spark and its workers: processes of their own on the loopback, which know nothing of us."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from typing import Any

import psutil
import pyspark

from nightshift.runtime.services import stop

LOOPBACK = "127.0.0.1"
SPARK = Path(pyspark.__file__).parent
STARTED = re.compile(r"Starting Spark master at (spark://\S+)")
JOINED = re.compile(r"Successfully registered with master (\S+)")
WAIT_SECONDS = 300
"""For a start of Java on a machine that has other things to do."""


def events(file: Path) -> list[dict[str, Any]]:
    """What an application has told, in order."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def executors_of(told: list[dict[str, Any]]) -> set[str]:
    """The executors that have run a task of an application to its end."""
    ended = [event for event in told if event["Event"] == "SparkListenerTaskEnd"]
    return {each["Task Info"]["Executor ID"] for each in ended if each["Task End Reason"]["Reason"] == "Success"}


@dataclass(frozen=True)
class Cluster:
    """A master that runs, and where each worker keeps what its executors are sent."""

    master: str  # spark://127.0.0.1:…
    work: tuple[Path, ...]
    processes: tuple[subprocess.Popen[bytes], ...]


def listening() -> set[str]:
    """Addresses on which all that this process has started, and what that has started, listen for TCP."""
    found: set[str] = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            each = process.net_connections("tcp")
            found |= {one.laddr.ip.removeprefix("::ffff:") for one in each if one.status == psutil.CONN_LISTEN}
    return found


@contextmanager
def standalone(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A master and workers of one core each, below ``folder``; they and all that they started end with the block."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        master = _start(started, folder / "master", "master.Master", STARTED)
        work = tuple(folder / f"worker-{number}" / "work" for number in range(workers))
        for each in work:
            size = ("--cores", "1", "--memory", "1g", "--work-dir", str(each))
            _start(started, each.parent, "worker.Worker", JOINED, *size, master)
        yield Cluster(master, work, tuple(started))
    finally:
        stop([process.pid for process in reversed(started)])


def python_without_the_project(folder: Path) -> Path:
    """A Python with the packages that ours has, and without the project, which is installed among ours as a link."""
    venv.create(folder)
    # of a folder that a .pth file names, the .pth files are not read: one of them is the link to the project
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{get_path('purelib')}\n")
    return folder / "bin" / "python"


def _start(
    started: list[subprocess.Popen[bytes]], folder: Path, kind: str, ready: re.Pattern[str], *arguments: str
) -> str:
    """Starts a process in a folder of its own, and gives what its log says once it is ready."""
    (folder / "conf").mkdir(parents=True)
    log = folder / "log"
    listen = ("--host", LOOPBACK, "--port", "0", "--webui-port", "0")
    with log.open("wb") as output:
        # a session of its own: its executors end with it
        process = subprocess.Popen(
            [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *listen, *arguments],
            cwd=folder,
            env=_environment(folder / "conf"),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started.append(process)
    end = time.monotonic() + WAIT_SECONDS
    while not (found := ready.search(log.read_text(errors="replace"))):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"{kind} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)
    return found[1]


def _environment(conf: Path) -> dict[str, str]:
    """Of this process's own only where Java is: neither PYTHONPATH nor NIGHTSHIFT_HOME."""
    java = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    return java | {
        "SPARK_HOME": str(SPARK),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        # for the executors too: short jobs, and several Javas on few cores
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
