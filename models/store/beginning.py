"""The model that a weekly training goes on from: the champion of the nights before its snapshot."""

from __future__ import annotations

import json
from datetime import date, timedelta

from contracts import model_ids
from contracts.cli import log
from contracts.errors import ModelError
from contracts.settings import Settings
from models import artifact
from models.fit import TrainingData
from models.published import ABOUT
from models.store import registry
from models.warm_start import Beginning


def beginning_of(settings: Settings, data: TrainingData, end: date, base: str) -> Beginning | None:
    """The champion of the nights before the snapshot as of ``end``, as the gate judged it, before it was refitted.

    None where there is none or it does not fit: the training is from scratch then, and the log says why.

    Args:
        settings: All of them.
        data: What is learnt.
        end: As-of date of the snapshot.
        base: Hash of the pre-trained model that is there now.

    Raises:
        RegistryError: the registry could not be asked.
    """
    if not settings.training.warm_start.enabled:
        return None
    # a model of this very snapshot may be there, if the training is repeated: it is no earlier one
    before = end - timedelta(days=1)
    name = registry.model_of_night(settings, before)
    if name is None or model_ids.knows_later(name, before):
        log.info("Training from scratch: no model was promoted before the snapshot of %s.", end)
        return None
    folder = settings.models / model_ids.judged(name)
    try:
        artifact.verify(folder)
        beginning = Beginning.load(folder)
        made_from = json.loads((folder / ABOUT).read_text())["made_from"]
    except ModelError as error:
        log.warning("Training from scratch, not from %s: %s", folder.name, error)
        return None
    seen = data.behaviours.seen_in(data.histories)
    why = beginning.misfit(settings.training, seen, data.first_window(settings.training))
    if made_from["base model"] != base:
        why = "the pre-trained model was another one"
    if why:
        log.info("Training from scratch, not from %s: %s.", beginning.name, why)
        return None
    log.info("Training goes on from %s.", beginning.name)
    return beginning
