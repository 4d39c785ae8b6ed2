"""Embeds the catalogue of a night with a model's item tower: only texts that are new or changed.

    python -m spark_jobs.embed_items --ds 2017-12-23
    python -m spark_jobs.embed_items --ds 2017-12-23 --model 2017-12-23-0a1b2c3d

Without a name the model is the one that the night uses: the champion, or of a night of the past that of its time.
Gives `model_id` to Airflow, so that `score_users` takes the same.

The texts of items with events were encoded by the training. Where nothing changed, torch is not imported, and for a few
new texts no Spark session is started (`spark_jobs.scoring.embedding`); many are encoded on the executors.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from contracts import catalogue
from contracts.catalogue import Edition
from contracts.cli import Night, OneModel, give_result, log
from contracts.columns import Columns as C
from contracts.night_steps import Counts
from contracts.settings import Settings
from models import artifact
from models.store import registry
from spark_jobs.cluster.step import main
from spark_jobs.scoring.embedding import embed_here, embed_on_executors, stale_items


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night whose catalogue is embedded, and with which model."""


def without_spark(settings: Settings, arguments: Arguments) -> Counts | None:
    """Encodes what is stale where that is nothing, or little, and tells what was counted; None where it is much.

    Raises:
        ModelError: there is no such model, or its folder is damaged.
        RegistryError: no model was named, and the registry could not be asked.
    """
    begun = time.monotonic()
    folder, stale = wanted(settings, arguments)
    if stale.num_rows and not embed_here(settings, folder, stale):
        return None
    return embedded(settings, arguments, folder, stale.num_rows, time.monotonic() - begun)


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> Counts:
    """Encodes what is stale on the executors and writes it to `item_vectors`; raises as `without_spark`."""
    begun = time.monotonic()
    folder, stale = wanted(settings, arguments)
    embed_on_executors(spark, settings, folder, stale)
    return embedded(settings, arguments, folder, stale.num_rows, time.monotonic() - begun)


def wanted(settings: Settings, arguments: Arguments) -> tuple[Path, pa.Table]:
    """The model's folder, which is checked if it is going to be read, and the items that need its vectors."""
    folder = registry.chosen_folder(settings, arguments.model, arguments.interval.end)
    stale = stale_items(settings, folder.name, Edition(arguments.ds))
    if stale.num_rows:
        artifact.verify(folder)
    return folder, stale


def embedded(settings: Settings, arguments: Arguments, folder: Path, encoded: int, seconds: float) -> Counts:
    """Tells with which model, and of how many items the text was encoded, and of how many the vector was there."""
    if encoded:
        log.info("Embedded %s items in %.1f s.", f"{encoded:,}", seconds)
    else:
        log.info("All items have their vector of model %s: nothing to embed.", folder.name)
    give_result({"model_id": folder.name})
    items = catalogue.arrow(settings, Edition(arguments.ds), [C.ITEM_ID]).num_rows
    return {"items encoded": encoded, "items reused": items - encoded}


if __name__ == "__main__":
    main("embed_items", __doc__, Arguments, run, instead=without_spark)
