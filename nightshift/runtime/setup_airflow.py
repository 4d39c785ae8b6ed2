"""Prepares Airflow once: its database and the pools that the DAGs use.

    python -m nightshift.runtime.setup_airflow

A second call does nothing until Airflow's version or the pools change.
"""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version

from contracts.cli import NoArguments, log, main
from contracts.errors import SettingsError
from contracts.files import write_atomically
from contracts.pools import POOLS
from contracts.settings import Settings
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


def run(settings: Settings, _: NoArguments) -> None:
    """Creates or migrates the database and imports the pools, where that was not done yet."""
    home = airflow_home(settings)
    pools = json.dumps(
        {name: {"slots": 1, "description": doc, "include_deferred": False} for name, doc in POOLS.items()},
        indent=1,
    )
    stamp = home / "prepared"
    prepared = f"apache-airflow {version('apache-airflow')}\n{pools}\n"
    if stamp.exists() and stamp.read_text() == prepared:
        return
    log.info("Preparing Airflow's database and pools …")
    pools_file = home / "pools.json"
    write_atomically(pools_file, pools)
    airflow(settings, "db", "migrate")
    # a task whose pool does not exist is never scheduled, with only a warning
    airflow(settings, "pools", "import", str(pools_file))
    write_atomically(stamp, prepared)
    log.info("Airflow is set up in %s.", home)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
