"""The package of a worker: one folder with the model, the catalogue, the vectors and the counts. Imports no torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from contracts import lake
from contracts.catalogue import Edition
from contracts.catalogue import arrow as catalogue_rows
from contracts.columns import Columns as C
from contracts.errors import ModelError
from contracts.settings import Settings
from contracts.tables import ITEM_VECTORS
from models import artifact
from models.catalogue import CATALOGUE_COLUMNS, Catalogue
from models.histories import Floats
from models.text_vectors import FILE as TEXT_VECTORS
from spark_jobs.scoring.histories import ITEM_DAY, ITEM_EVENTS, ITEM_STRENGTH

CATALOGUE, DAYS, VECTORS = "catalogue.arrow", "days.safetensors", "vectors.safetensors"
"""Files of the package, besides the model's own."""
COLUMNS = (C.VECTOR, C.TEXT_VECTOR)
"""Of `item_vectors`, and the names of the arrays in the file of the vectors."""


def pack(settings: Settings, model_folder: Path, counts: pa.Table, edition: Edition, into: Path) -> str:
    """Fills a folder with all that a worker needs, the edition of the catalogue too, and gives the model's id.

    Raises:
        ModelError: the model's folder is damaged, or some item has no vector of the model.
    """
    model_id = str(artifact.verify(model_folder)["model_id"])
    into.mkdir(parents=True)
    for file in sorted(model_folder.iterdir()):
        if file.is_file() and file.name not in (artifact.MANIFEST, artifact.BEFORE_NEWEST, TEXT_VECTORS):
            shutil.copyfile(file, into / file.name)
        elif file.name == artifact.PAIR_MODEL:
            shutil.copytree(file, into / file.name, copy_function=shutil.copyfile)
    items = catalogue_rows(settings, edition, [*CATALOGUE_COLUMNS, C.TEXT_HASH]).sort_by(C.ITEM_ID)
    with pa.OSFile(str(into / CATALOGUE), "wb") as sink, pa.ipc.new_file(sink, items.schema) as writer:
        writer.write_table(items)
    catalogue = Catalogue.from_arrow(items)
    save_file(vectors_of(settings, catalogue, items, model_id), into / VECTORS)
    item, day = catalogue.positions(counts[C.ITEM_ID].to_numpy()), counts[ITEM_DAY].to_numpy().astype(np.int32)
    order = np.lexsort((day, item))
    order = order[item[order] >= 0]
    events = counts[ITEM_EVENTS].to_numpy().astype(np.int32)
    strengths = counts[ITEM_STRENGTH].to_numpy().astype(np.float32)
    save_file(
        {"items": item[order], "days": day[order], "events": events[order], "strengths": strengths[order]}, into / DAYS
    )
    return model_id


def vectors_of(settings: Settings, catalogue: Catalogue, items: pa.Table, model_id: str) -> dict[str, Floats]:
    """The vectors that a model has for the texts of ``items``, by column, in the order of ``catalogue``, [items, size].

    Raises:
        ModelError: some item has none.
    """
    stored = (
        lake.arrow(settings, ITEM_VECTORS, [C.ITEM_ID, C.TEXT_HASH, *COLUMNS], {C.MODEL_ID: model_id})
        if lake.exists(settings, ITEM_VECTORS)
        else pa.table({C.ITEM_ID: [], C.TEXT_HASH: [], **{each: _no_vectors() for each in COLUMNS}})
    )
    hashes = np.empty(len(catalogue), dtype=object)
    hashes[catalogue.positions(items[C.ITEM_ID].to_numpy())] = items[C.TEXT_HASH].to_numpy()
    position = catalogue.positions(stored[C.ITEM_ID].to_numpy())
    # an item also has the vectors of texts that it had on other days
    position[hashes[position] != stored[C.TEXT_HASH].to_numpy()] = -1
    missing = len(catalogue) - len(np.unique(position[position >= 0]))
    if missing:
        raise ModelError(
            f"Table {lake.path(settings, ITEM_VECTORS)} lacks {missing:,} of {len(catalogue):,} items for model "
            f"{model_id}: run spark_jobs.embed_items first."
        )
    there = position >= 0
    made = {}
    for column in COLUMNS:
        flat = stored[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        made[column] = np.zeros((len(catalogue), flat.size // stored.num_rows), dtype=np.float32)
        made[column][position[there]] = flat.reshape(stored.num_rows, -1)[there]
    return made


def _no_vectors() -> pa.Array:
    return pa.array([], pa.list_(pa.float32()))
