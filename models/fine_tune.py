"""Fine-tunes a challenger on the newest snapshot of sequences: item tower, user encoder and ranker.

    python -m models.fine_tune --as-of 2017-12-23

Reads `sequences` and `items`, the latter as they were when the snapshot was made, writes a model folder, and
registers it. The test window is not read. The same data, settings, base model and code are not fitted twice. With
`training.warm_start.enabled` it goes on from the champion of the nights before, where that fits. The model's id goes
to whoever started the step, so that `evaluate` judges this one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from contracts.cli import AsOf, give_result, log, main, timed
from contracts.files import complete_or_absent
from contracts.prompt import budgets_of
from contracts.settings import Settings
from contracts.windows import TEST, VALIDATION, Windows
from models import artifact
from models.behaviours import Behaviours
from models.cost import COST, Cost
from models.encoder_training import Judge
from models.fit import Fitted, TrainingData, fit
from models.identity import made_from, model_id
from models.item_tower import base_model_folder
from models.pair_model.told import PAIR_MODEL
from models.profile import Profile
from models.published import TOWER, PublishedModel
from models.store import registry
from models.store.beginning import beginning_of
from models.store.snapshot import edition_of, read_attributes, read_catalogue, read_split, windows_of
from models.text_losses import TEXTS, TextLosses
from models.user_sample import user_sample


def run(settings: Settings, arguments: AsOf) -> str:
    """Reads, fits, writes and registers the challenger, and gives its id.

    Raises:
        InputError: there is no snapshot as of that day.
        ModelError: training diverged.
        RegistryError: MLflow could not be reached.
    """
    begun = time.monotonic()
    windows = windows_of(settings, arguments.as_of)
    data = read(settings, windows)
    origin = origin_of(settings, data)
    beginning = beginning_of(settings, data, windows.end, origin["base model"])
    started = beginning.about if beginning else {}
    if beginning:
        origin[artifact.STARTED_FROM] = beginning.name
    name = model_id(windows.end, origin)
    folder = settings.models / name
    mlflow = registry.client(settings)
    run_id = artifact.known_run(folder)
    if run_id is None:
        tags = {"snapshot_id": windows.snapshot_id, "model_id": name}
        tags |= {key: str(value) for key, value in started.items()}
        run_id = registry.start_run(mlflow, name, settings.training, tags)
        tracker = registry.Tracker(mlflow, run_id)
        fitted = fit(sampled(data, settings.training.users), settings.training, tracker.report, beginning)
        about = {"model_id": name, "snapshot_id": windows.snapshot_id, "made_from": origin, **started}
        profile = Profile.of(data.histories, data.catalogue, data.user_ids, data.behaviours.names, data.test_start)
        cost = Cost.so_far(time.monotonic() - begun, fitted.seconds)
        log.info("Fine-tuning took %s.", cost)
        losses = text_losses(settings, windows, data, fitted)
        log.info("Texts: %s.", losses)
        training: dict[str, object] = {"curves": tracker.curves, "importance": fitted.importance}
        training |= {COST: cost.to_json(), TEXTS: losses.to_json(), **started}
        if fitted.pair:
            training[PAIR_MODEL] = fitted.pair.gains.to_json()
        with timed("Saving"):
            write(folder, fitted, about, settings, profile, training, run_id)
        tracker.end()
    registry.register(settings, mlflow, name, run_id, registry.CHALLENGER)
    log.info("Challenger: %s in %s", name, folder)
    give_result({"model_id": name})
    return name


def read(settings: Settings, windows: Windows) -> TrainingData:
    """The snapshot as arrays.

    Raises:
        InputError: there is none.
    """
    catalogue = read_catalogue(settings, edition_of(settings, windows))
    behaviours = Behaviours.of(settings.ingest.behaviours, settings.ingest.targets, settings.ingest.scale)
    validation, test = (
        read_split(settings, catalogue, windows.snapshot_id, split, behaviours.names) for split in (VALIDATION, TEST)
    )
    judged = user_sample(validation.user_ids, settings.training.users)
    # what lies before the test window, the validation window included: the ranker's windows are cut from it
    histories = test.histories
    return TrainingData(
        catalogue,
        test.user_ids,
        histories.select(histories.items >= 0),
        Judge(validation.histories.take(judged), validation.relevant.take(judged)),
        behaviours,
        windows.validation_start,
        windows.test_start,
        {behaviours.names.index(name): days for name, days in settings.scoring.exclude_seen_days.items()},
    )


def sampled(data: TrainingData, at_most: int) -> TrainingData:
    """What a model is fitted on. The profile, with which nights are compared, is of all users all the same."""
    chosen = user_sample(data.user_ids, at_most)
    users = [data.user_ids[number] for number in chosen.tolist()]
    return replace(data, user_ids=users, histories=data.histories.take(chosen))


def text_losses(settings: Settings, windows: Windows, data: TrainingData, fitted: Fitted) -> TextLosses:
    """What the tower did not read of the catalogue."""
    template = settings.ingest.item_text
    attributes = read_attributes(settings, edition_of(settings, windows), list(budgets_of(template)))
    return TextLosses.of(fitted.tower, data.catalogue.texts, template, attributes)


def origin_of(settings: Settings, data: TrainingData) -> dict[str, str]:
    """A hash of each thing that the model is made from."""
    validation = (data.judge.histories, data.judge.relevant)
    base = base_model_folder(settings.training.tower.base_model)
    return made_from(settings, data.catalogue, data.histories, validation, base)


def write(
    folder: Path,
    fitted: Fitted,
    about: Mapping[str, object],
    settings: Settings,
    profile: Profile,
    training: Mapping[str, object],
    run_id: str,
) -> None:
    """Writes the model's folder, complete or not at all; ``training`` is what is told of how it was trained."""
    chosen = settings.training
    model = PublishedModel(
        {
            **about,
            "behaviours": asdict(fitted.behaviours),
            "settings": chosen.model_dump(),
            "text_size": fitted.texts.after.shape[1],
        },
        fitted.encoder,
        fitted.ranker,
        fitted.items,
        fitted.space,
    )
    with complete_or_absent(folder) as draft:
        model.save(draft)
        fitted.tower.save(draft / TOWER)
        fitted.texts.save(draft)
        fitted.before.save(draft)
        if fitted.pair and fitted.pair.usable:
            fitted.pair.usable.save(draft)
        profile.save(draft)
        (draft / artifact.CURVES).write_text(json.dumps(training) + "\n")
        manifest = {"model_id": about["model_id"], "mlflow_run": run_id, "base": chosen.tower.base_model}
        artifact.write_manifest(draft, manifest)


if __name__ == "__main__":
    main(__doc__, AsOf, run)
