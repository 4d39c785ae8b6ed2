"""Embeds the catalogue of a night with a model's item tower, on the executors: only texts that are new or changed.

    python -m spark_jobs.embed_items --ds 2017-12-23
    python -m spark_jobs.embed_items --ds 2017-12-23 --model 2017-12-23-0a1b2c3d

Without a name the model is the one that the night uses: the champion, or of a night of the past that of its time.
Gives `model_id` to Airflow, so that `score_users` takes the same.

The texts of items with events were encoded by the training. Where nothing changed, no Spark session is started and, as
torch and transformers take ten seconds to import, neither are they.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

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
from spark_jobs.scoring.embedding import embed, stale_items


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night whose catalogue is embedded, and with which model."""


def nothing_is_stale(settings: Settings, arguments: Arguments) -> Counts | None:
    """What is counted where all items have their vector of the model; None where some have not."""
    folder = registry.chosen_folder(settings, arguments.model, arguments.interval.end)
    if stale_items(settings, folder.name, Edition(arguments.ds)).num_rows:
        return None
    log.info("All items have their vector of model %s: nothing to embed.", folder.name)
    give_result({"model_id": folder.name})
    return counted(settings, arguments, 0)


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> Counts:
    """Encodes what is stale and writes it to `item_vectors`.

    Raises:
        ModelError: there is no such model, or its folder is damaged.
        RegistryError: no model was named, and the registry could not be asked.
    """
    begun = time.monotonic()
    folder = registry.chosen_folder(settings, arguments.model, arguments.interval.end)
    artifact.verify(folder)
    stale = stale_items(settings, folder.name, Edition(arguments.ds))
    log.info("Embedding %s items with model %s …", f"{stale.num_rows:,}", folder.name)
    embed(spark, settings, folder, stale)
    log.info("Embedded %s items in %.1f s.", f"{stale.num_rows:,}", time.monotonic() - begun)
    give_result({"model_id": folder.name})
    return counted(settings, arguments, stale.num_rows)


def counted(settings: Settings, arguments: Arguments, encoded: int) -> Counts:
    """Of how many items the text was encoded, and of how many the vector was there."""
    items = catalogue.arrow(settings, Edition(arguments.ds), [C.ITEM_ID]).num_rows
    return {"items encoded": encoded, "items reused": items - encoded}


if __name__ == "__main__":
    main("embed_items", __doc__, Arguments, run, instead=nothing_is_stale)
