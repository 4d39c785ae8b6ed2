"""MLflow: what a training did, which models there are, and which one is the champion. Reads and writes the registry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from contracts import model_ids
from contracts.cli import log
from contracts.errors import ModelError, RegistryError
from contracts.settings import Settings, Training

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "nightshift"
"""Experiment and registered model."""

CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTED = "promoted"
"""Tag of the versions that are or were the champion."""
GATE = "gate"
"""Tag with what the gate decided."""
MOST_OF_A_TAG = 1000
FLUSH_SECONDS = 5.0

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ended, as MLflow has it."""


def database_file(settings: Settings) -> Path | None:
    """The store's file; None where a tracking server keeps it."""
    scheme = "sqlite:///"
    return Path(settings.mlflow_uri.removeprefix(scheme)) if settings.mlflow_uri.startswith(scheme) else None


@contextmanager
def reached() -> Iterator[None]:
    """A block that talks to MLflow.

    Raises:
        RegistryError: MLflow's store could not be reached or read; trying again can help.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RegistryError(f"The registry of models (MLflow) could not be reached or read: {error}") from error


def client(settings: Settings) -> MlflowClient:
    """A client of the tracking and registry store, which is made where it is missing.

    Raises:
        RegistryError: it cannot be reached.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else every table and migration is logged
    from mlflow import MlflowClient

    with reached():
        if file := database_file(settings):
            file.parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=settings.mlflow_uri, registry_uri=settings.mlflow_uri)


class Tracker:
    """Curves of one training run, sent to MLflow every few seconds and kept for the report."""

    def __init__(self, mlflow: MlflowClient, run_id: str) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self._mlflow = mlflow
        self._run_id = run_id
        self._unsent: list[Any] = []
        self._sent_at = time.monotonic()

    def report(self, name: str, step: int, value: float) -> None:
        """Records one point of a curve."""
        from mlflow.entities import Metric

        self.curves.setdefault(name, []).append((step, float(value)))
        self._unsent.append(Metric(name, float(value), int(time.time() * 1000), step))
        if time.monotonic() - self._sent_at > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sends what was recorded since the last time."""
        if self._unsent:
            with reached():
                self._mlflow.log_batch(self._run_id, metrics=self._unsent)
        self._unsent, self._sent_at = [], time.monotonic()

    def end(self, status: Status = "FINISHED") -> None:
        """Sends the rest and ends the run."""
        self.flush()
        with reached():
            self._mlflow.set_terminated(self._run_id, status)


def start_run(
    mlflow: MlflowClient, name: str, settings: Training, tags: Mapping[str, str], experiment_name: str = NAME
) -> str:
    """Starts a run with its parameters and gives its id."""
    from mlflow.entities import Param

    with reached():
        experiment = mlflow.get_experiment_by_name(experiment_name)
        experiment_id = experiment.experiment_id if experiment else mlflow.create_experiment(experiment_name)
        run_id = mlflow.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id
        mlflow.log_batch(run_id, params=[Param(key, str(value)) for key, value in flat(settings.model_dump()).items()])
    return str(run_id)


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, object]:
    """Nested values under their full names, for example ``tower.steps``."""
    made: dict[str, object] = {}
    for name, value in values.items():
        made |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return made


def register(settings: Settings, mlflow: MlflowClient, model_id: str, run_id: str, alias: str | None = None) -> None:
    """Registers a published folder as a version, and gives it an alias."""
    with reached():
        if aliases(mlflow) is None:
            mlflow.create_registered_model(NAME, description="Nightly recommender: item tower, user encoder, ranker")
        version = _version_of(mlflow, model_id)
        if version is None:
            made = mlflow.create_model_version(
                NAME, source=str(settings.models / model_id), run_id=run_id, tags={"model_id": model_id}
            )
            version = made.version
        if alias is not None:
            mlflow.set_registered_model_alias(NAME, alias, version)


def was_promoted(mlflow: MlflowClient, model_id: str) -> bool:
    """Whether a model is or was the one of some nights."""
    with reached():
        version = _version_of(mlflow, model_id)
        return version is not None and PROMOTED in mlflow.get_model_version(NAME, version).tags


def tag_gate(mlflow: MlflowClient, model_id: str, outcome: str) -> None:
    """Notes at a model's version what the gate decided, and why."""
    with reached():
        version = _version_of(mlflow, model_id)
        if version is not None:
            mlflow.set_model_version_tag(NAME, version, GATE, outcome[:MOST_OF_A_TAG])


def promote(mlflow: MlflowClient, model_id: str) -> bool:
    """Makes a model the one of the nights from its as-of date on, and says whether it is the champion now.

    It is not where the champion was made from later events: then the model is for the nights before that one.

    Raises:
        ModelError: no version carries that model.
    """
    with reached():
        version = _version_of(mlflow, model_id)
        if version is None:
            raise ModelError(f"No registered version of {NAME!r} carries model {model_id}: fine-tune it first.")
        # a night of the time before the next promotion uses it, also when that night is run later
        mlflow.set_model_version_tag(NAME, version, PROMOTED, "true")
        now = (aliases(mlflow) or {}).get(CHAMPION)
        end = model_ids.as_of(model_id)
        if now and end and model_ids.knows_later(mlflow.get_model_version(NAME, now).tags["model_id"], end):
            return False
        mlflow.set_registered_model_alias(NAME, CHAMPION, version)
        return True


def aliases(mlflow: MlflowClient) -> dict[str, str] | None:
    """Version of each alias; None where no model was registered yet."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        return dict(mlflow.get_registered_model(NAME).aliases)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None


def model_with(settings: Settings, alias: str) -> str | None:
    """Id of the model with an alias; None where no model has it.

    Raises:
        RegistryError: the registry could not be asked. That says nothing of its models.
    """
    mlflow = client(settings)
    with reached():
        version = (aliases(mlflow) or {}).get(alias)
        return None if version is None else str(mlflow.get_model_version(NAME, version).tags["model_id"])


def champion(settings: Settings) -> str | None:
    """Id of the champion; None where no model was promoted yet.

    Raises:
        RegistryError: the registry could not be asked.
    """
    return model_with(settings, CHAMPION)


def model_of_night(settings: Settings, end: date) -> str | None:
    """Id of the model that a night uses which ends where ``end`` begins; None where no model was promoted yet.

    The champion, or, if that knows events of ``end`` or later, the newest former champion that does not; the champion
    all the same where there is none, which the log says.

    Raises:
        RegistryError: the registry could not be asked.
    """
    now = champion(settings)
    if now is None or not model_ids.knows_later(now, end):
        return now
    mlflow = client(settings)
    with reached():
        versions = mlflow.search_model_versions(f"name = '{NAME}' and tags.{PROMOTED} = 'true'")
    known = [(str(each.tags["model_id"]), int(each.version)) for each in versions]
    then = [each for each in known if not model_ids.knows_later(each[0], end)]
    if not then:
        log.warning("No model was made from events before %s alone: %s knows later ones.", end, now)
        return now
    # ids begin with their day
    return max(then, key=lambda each: (each[0][: model_ids.LENGTH_OF_DAY], each[1]))[0]


def folder_of(settings: Settings, alias: str) -> Path:
    """Folder of the model with an alias. Check it with `models.artifact.verify` before reading.

    Raises:
        ModelError: no model has the alias.
        RegistryError: the registry could not be asked.
    """
    model_id = model_with(settings, alias)
    if model_id is None:
        raise ModelError(
            f"The registry ({settings.mlflow_uri}) has no {alias} of {NAME!r}: "
            + (_kept_out(settings) or "run the DAG fine_tune_model first.")
        )
    return settings.models / model_id


def _kept_out(settings: Settings) -> str | None:
    """What the gate said of the challenger, and what to do; None where it was asked of none."""
    mlflow = client(settings)
    with reached():
        version = (aliases(mlflow) or {}).get(CHALLENGER)
        tags = {} if version is None else mlflow.get_model_version(NAME, version).tags
    if GATE not in tags:
        return None
    return (
        f"the gate has looked at {tags['model_id']}, {tags[GATE]}. Take in more days and run the DAG fine_tune_model, "
        "or loosen [gate] of the settings and clear its task evaluate."
    )


def chosen_folder(settings: Settings, model_id: str | None, end: date | None = None) -> Path:
    """Folder of the model ``model_id``. A model with an id is found without MLflow.

    None stands for the model of the night that ends where ``end`` begins (`model_of_night`), and without ``end`` for
    the champion.

    Raises:
        ModelError: there is no such model.
        RegistryError: the registry could not be asked for the champion.
    """
    if model_id is None and end is not None:
        model_id = model_of_night(settings, end)
    if model_id is None:
        return folder_of(settings, CHAMPION)
    folder = settings.models / model_id
    if not folder.is_dir():
        there = ", ".join(sorted(each.name for each in settings.models.glob("[!.]*"))) or "none"
        raise ModelError(f"There is no model {model_id!r} in {settings.models}. Models there: {there}.")
    return folder


def _version_of(mlflow: MlflowClient, model_id: str) -> str | None:
    versions = mlflow.search_model_versions(f"name = '{NAME}'")
    return next((str(each.version) for each in versions if each.tags.get("model_id") == model_id), None)
