"""Prints the id of the champion model; nothing where none was promoted yet.

    python -m spark_jobs.champion

A process of its own, because what knows the champion (MLflow) is too heavy to import in Airflow.
"""

from __future__ import annotations

from contracts.cli import NoArguments, main
from contracts.settings import Settings
from models.store.registry import champion


def run(settings: Settings, _: NoArguments) -> None:
    """Prints the id.

    Raises:
        RegistryError: the registry could not be asked.
    """
    if model_id := champion(settings):
        print(model_id)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
