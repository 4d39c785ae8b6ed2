"""Prepares Airflow once: its database and the pools that the DAGs use.

    python -m spark_jobs.setup_airflow

A second call does nothing until Airflow's version or the pools change.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Sequence
from importlib.metadata import version

from spark_jobs.contracts.cli import entry, log
from spark_jobs.contracts.errors import SettingsError
from spark_jobs.contracts.pools import POOLS
from spark_jobs.contracts.settings import Settings
from spark_jobs.environment import airflow_home, environment


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


def prepare(settings: Settings) -> None:
    """Creates or migrates the database and imports the pools, where that was not done yet."""
    home = airflow_home(settings)
    pools = json.dumps(
        {name: {"slots": 1, "description": doc, "include_deferred": False} for name, doc in POOLS.items()},
        indent=1,
    )
    stamp = home / "prepared"
    wanted = f"apache-airflow {version('apache-airflow')}\n{pools}\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    log.info("Preparing Airflow's database and pools …")
    home.mkdir(parents=True, exist_ok=True)
    airflow(settings, "db", "migrate")
    file = home / "pools.json"
    file.write_text(pools)
    # a task whose pool does not exist is never scheduled, with only a warning
    airflow(settings, "pools", "import", str(file))
    stamp.write_text(wanted)
    log.info("Airflow is set up in %s.", home)


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    prepare(settings)


if __name__ == "__main__":
    entry(main)
