"""Prepares MLflow once: the database of runs and models, where it is a file of this home.

    python -m spark_jobs.setup_mlflow

A second call does nothing, and a tracking server that the environment names is left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from models.registry import CHAMPION, client, database_file, find
from spark_jobs.contracts.cli import entry, log
from spark_jobs.contracts.settings import Settings


def prepare(settings: Settings) -> None:
    """Creates the database where it is missing: it takes ten seconds, and Airflow's tasks need not wait for it."""
    file = database_file(settings)
    if file is None or file.exists():
        return
    log.info("Preparing MLflow's database …")
    find(client(settings), CHAMPION)


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    prepare(settings)


if __name__ == "__main__":
    entry(main)
