"""Prepares MLflow once: the database of runs and models, where it is a file of this home.

    python -m nightshift.runtime.setup_mlflow

A second call does nothing, and a tracking server that the environment names is left alone.
"""

from __future__ import annotations

from contracts.cli import NoArguments, log, main
from contracts.settings import Settings
from models.store.registry import champion, database_file
from nightshift.runtime.commands import in_turn


@in_turn("setup-mlflow")
def run(settings: Settings, _: NoArguments) -> None:
    """Creates the database where it is missing: it takes ten seconds, and Airflow's tasks need not wait for it."""
    file = database_file(settings)
    if file is None or file.exists():
        return
    log.info("Preparing MLflow's database …")
    champion(settings)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
