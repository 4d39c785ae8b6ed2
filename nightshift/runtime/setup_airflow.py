"""Prepares Airflow once: its database, the pools that the DAGs use, and the DAGs themselves.

    python -m nightshift.runtime.setup_airflow

A second call does nothing until Airflow's version, the pools, the DAGs, the shop's time zone or the deadline change.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import make_url

from contracts.cli import NoArguments, log, main
from contracts.errors import SettingsError
from contracts.files import write_atomically, write_if_changed
from contracts.pools import POOLS
from contracts.settings import PROJECT, Settings
from nightshift.alerts.banner import LOCAL_SETTINGS
from nightshift.runtime.commands import in_turn
from nightshift.runtime.environment import airflow_home, environment


def airflow(settings: Settings, *arguments: str) -> None:
    """Runs one command of Airflow's command line.

    Raises:
        SettingsError: it failed; the message carries the end of what it printed.
    """
    done = subprocess.run(
        ["airflow", *arguments], env=environment(settings, os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SettingsError(
            f"`airflow {' '.join(arguments)}` failed with exit code {done.returncode}. The end of its output:"
            f"\n{(done.stdout + done.stderr)[-2000:]}"
        )


def dags_hash(settings: Settings) -> str:
    """Hash of all that decides what the DAGs are."""
    digest = hashlib.sha256(f"{settings.shop.time_zone} {settings.alerts.deadline}".encode())
    for file in sorted((PROJECT / "dags").rglob("*.py")):
        digest.update(f"{file.relative_to(PROJECT)}".encode() + file.read_bytes())
    return digest.hexdigest()


def database_file(settings: Settings) -> Path | None:
    """File of Airflow's database; None where a server keeps it."""
    url = make_url(environment(settings, os.environ)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


@in_turn("setup-airflow")
def run(settings: Settings, _: NoArguments) -> None:
    """Creates or migrates the database, imports the pools and the DAGs, where that was not done yet."""
    home = airflow_home(settings)
    pools = json.dumps(
        {name: {"slots": 1, "description": doc, "include_deferred": False} for name, doc in POOLS.items()},
        indent=1,
    )
    # Airflow looks for this module in that folder
    write_if_changed(home / "config" / "airflow_local_settings.py", LOCAL_SETTINGS)
    stamp = home / "prepared"
    prepared = f"apache-airflow {version('apache-airflow')}\n{pools}\n{dags_hash(settings)}\n"
    if stamp.exists() and stamp.read_text() == prepared:
        return
    log.info("Preparing Airflow's database, pools and DAGs …")
    pools_file = home / "pools.json"
    write_atomically(pools_file, pools)
    airflow(settings, "db", "migrate")
    # a task whose pool does not exist is never scheduled, with only a warning
    airflow(settings, "pools", "import", str(pools_file))
    if (file := database_file(settings)) is not None:
        with closing(sqlite3.connect(file)) as database:
            # kept in the file: readers and the writer do not wait for each other
            database.execute("PRAGMA journal_mode=WAL")
    # so that a scheduler knows them without a processor that reads the files over and over
    airflow(settings, "dags", "reserialize")
    write_atomically(stamp, prepared)
    log.info("Airflow is set up in %s.", home)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
