"""Refits a promoted model on the newest events: it learns the window too that the gate judged it by.

    python -m models.refit --as-of 2017-12-23 --model 2017-12-23-0a1b2c3d

The user encoder begins where validation had chosen it, and learns the events up to the as-of date with the passes that
were best for it; what is known of single items is counted anew; tower and ranker stay as they are. The result is a
model of its own, `…-refitted-4e5f`, and takes the place of the judged one. A model that the gate kept out is not
refitted. Gives the new model's id to Airflow; none where there is nothing to do.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from contracts import model_ids
from contracts.cli import AsOf, argument, give_result, log, main, timed
from contracts.errors import ModelError
from contracts.files import complete_or_absent
from contracts.interval import midnight_seconds
from contracts.settings import Settings
from contracts.windows import LATEST
from models import artifact
from models.behaviours import Known
from models.devices import seed_everything
from models.encoder_training import EncoderTraining
from models.identity import digest_of
from models.newest import BeforeNewest
from models.published import PublishedModel
from models.store import registry
from models.store.challenger import challenger_folder
from models.store.snapshot import edition_of, read_catalogue, read_split, windows_of
from models.text_vectors import TextVectors
from models.user_sample import user_sample


@dataclass(frozen=True)
class Arguments(AsOf):
    """The day before which events count, and the model that was judged."""

    model: str | None = argument("model that was judged (the challenger)", metavar="ID", default=None)


def run(settings: Settings, arguments: Arguments) -> str | None:
    """Refits, writes and registers the model and makes it the one of the nights; gives its id.

    Raises:
        InputError: there is no snapshot as of that day.
        ModelError: there is no such model, it is damaged, made from another snapshot, or refitted already.
        RegistryError: MLflow could not be reached.
    """
    windows = windows_of(settings, arguments.as_of)
    folder = challenger_folder(settings, windows, arguments.model)
    if model_ids.judged(folder.name) != folder.name:
        raise ModelError(f"Model {folder.name} is refitted already. Name the one that was judged.")
    mlflow = registry.client(settings)
    if not registry.was_promoted(mlflow, folder.name):
        log.info("Model %s was kept out by the gate: it is not refitted.", folder.name)
        return None
    model = PublishedModel.load(folder)
    catalogue = read_catalogue(settings, edition_of(settings, windows))
    split = read_split(settings, catalogue, windows.snapshot_id, LATEST, model.behaviours.names)
    learnt_from = split.histories.take(user_sample(split.user_ids, model.settings.users))
    histories = learnt_from.select(learnt_from.items >= 0)
    name = model_ids.refitted(folder.name, digest_of(histories))
    run_id = artifact.known_run(settings.models / name)
    if run_id is None:
        seed_everything(model.settings.seed)
        tags = {"snapshot_id": windows.snapshot_id, "model_id": name, "refitted_from": folder.name}
        run_id = registry.start_run(mlflow, name, model.settings, tags)
        tracker = registry.Tracker(mlflow, run_id)
        of_items = TextVectors.load(folder).tuned(list(catalogue.texts))
        now = midnight_seconds(windows.end)
        horizon = now - windows.test_start
        training = EncoderTraining(model.settings, of_items, model.behaviours, horizon, tracker.report)
        known = Known.of(histories, model.behaviours, now)
        encoder, items = BeforeNewest.load(folder).up_to(histories, known, catalogue, training)
        about = {**model.about, "model_id": name, "refitted_from": folder.name}
        with timed("Saving"):
            write(settings.models / name, folder, replace(model, about=about, encoder=encoder, items=items), run_id)
        tracker.end()
    registry.register(settings, mlflow, name, run_id)
    is_champion = registry.promote(mlflow, name)
    log.info("Model %s %s.", name, "is the champion now" if is_champion else "is the model of the nights of its time")
    give_result({"model_id": name})
    return name


def write(folder: Path, judged: Path, model: PublishedModel, run_id: str) -> None:
    """Writes the refitted model beside what it has of the ``judged`` one, complete or not at all."""
    with complete_or_absent(folder) as draft:
        shutil.copytree(judged, draft, dirs_exist_ok=True, copy_function=shutil.copyfile)
        for left_out in (artifact.MANIFEST, artifact.BEFORE_NEWEST):
            (draft / left_out).unlink()
        model.save(draft)
        base = json.loads((judged / artifact.MANIFEST).read_text())["base"]
        artifact.write_manifest(draft, {"model_id": folder.name, "mlflow_run": run_id, "base": base})


if __name__ == "__main__":
    main(__doc__, Arguments, run)
