"""The model that a run has fitted: what its gate judges, and what is refitted if it is promoted."""

from __future__ import annotations

import json
from pathlib import Path

from contracts.errors import ModelError
from contracts.settings import Settings
from contracts.windows import Windows
from models import artifact
from models.published import ABOUT
from models.store import registry


def challenger_folder(settings: Settings, windows: Windows, model_id: str | None) -> Path:
    """Its folder, checked: that of the model that is named, or else of the one with the alias.

    Raises:
        ModelError: there is no such model, it is damaged, or made from another snapshot.
    """
    if model_id == "":
        raise ModelError(
            "There is no model: fine_tune of this run has given none, as when somebody marked it a success. Clear "
            "fine_tune, or judge a model by hand: python -m spark_jobs.evaluate --as-of DAY --model ID."
        )
    folder = (
        registry.chosen_folder(settings, model_id) if model_id else registry.folder_of(settings, registry.CHALLENGER)
    )
    artifact.verify(folder)
    made_from = json.loads((folder / ABOUT).read_text())["snapshot_id"]
    if made_from != windows.snapshot_id:
        raise ModelError(
            f"Model {folder.name} was made from snapshot {made_from}, and is to be used as of {windows.end}, on "
            f"snapshot {windows.snapshot_id}. Use it as of its own day, or name the model of this one with --model."
        )
    return folder
