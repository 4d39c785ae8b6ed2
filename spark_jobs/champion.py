"""Prints the id of the model that a night scores with; nothing where no model was promoted yet.

    python -m spark_jobs.champion --ds 2017-12-23

That is the champion or, for a night of the past, the newest former champion that was made from no later events.

A process of its own, because what knows the champion (MLflow) is too heavy to import in Airflow.
"""

from __future__ import annotations

from contracts.cli import Night, main
from contracts.settings import Settings
from models.store.registry import model_of_night


def run(settings: Settings, arguments: Night) -> None:
    """Prints the id.

    Raises:
        RegistryError: the registry could not be asked.
    """
    if model_id := model_of_night(settings, arguments.interval.end):
        print(model_id)


if __name__ == "__main__":
    main(__doc__, Night, run)
