"""Embeds the catalogue with a model's item tower, on the executors: only texts that are new or changed.

    python -m spark_jobs.embed_items --start 2017-12-23 --end 2017-12-24 --run-id by-hand
    python -m spark_jobs.embed_items --start 2017-12-23 --end 2017-12-24 --model 2017-12-23-0a1b2c3d

Every distinct text is encoded once; the texts of items with events were by the training. Where nothing changed, no
Spark session is started and, as torch and transformers take ten seconds to import, neither are they.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models import artifact, registry
from spark_jobs import storage
from spark_jobs.contracts.cli import add_model, entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import ITEM_VECTORS, ITEMS
from spark_jobs.session import session
from spark_jobs.shipping import Shipment, ship

if TYPE_CHECKING:
    from models.item_tower import ItemTower
    from models.published import PublishedModel
    from models.text_vectors import TextVectors

OWN = "own"
"""Row of the encoder's learned part: 0 for an item new since training."""

TEXTS_A_SLICE = 1024
"""Texts sorted by length together: enough that a batch holds like lengths, small beside the catalogue."""


def stale_items(settings: Settings, model_id: str) -> pa.Table:
    """Items without a vector of their text: item_id, text, text_hash."""
    items = storage.arrow(settings, ITEMS, [C.ITEM_ID, C.TEXT, C.TEXT_HASH])
    if not storage.exists(settings, ITEM_VECTORS):
        return items
    there = storage.arrow(settings, ITEM_VECTORS, [C.ITEM_ID, C.TEXT_HASH], {C.MODEL_ID: model_id})
    return items.join(there, keys=[C.ITEM_ID, C.TEXT_HASH], join_type="left anti")


def embed(texts: DataFrame, shipment: Shipment, settings: Settings, model_id: str) -> DataFrame:
    """Rows of `item_vectors` for rows of (text, text_hash, items: array<struct<item_id, own>>)."""
    max_tokens, batch = settings.training.max_tokens, settings.training.text_batch

    def load(folder: Path) -> tuple[ItemTower, TextVectors, PublishedModel]:
        import torch

        from models.item_tower import ItemTower
        from models.published import TOWER, PublishedModel
        from models.text_vectors import TextVectors

        torch.set_num_threads(1)  # Spark runs a worker on every core
        return ItemTower.load(folder / TOWER, max_tokens), TextVectors.load(folder), PublishedModel.load(folder)

    def vectors(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        tower, known, model = shipment.open(load)
        for frame in frames:
            encoded = known.encode(tower, frame[C.TEXT].tolist(), batch)
            row = np.repeat(np.arange(len(frame)), frame[C.ITEMS].map(len).to_numpy())
            items = [item for each in frame[C.ITEMS] for item in each]
            made = model.item_vectors(encoded[row], np.array([item[OWN] for item in items], dtype=np.int32))
            yield pd.DataFrame(
                {
                    C.MODEL_ID: model_id,
                    C.ITEM_ID: [item[C.ITEM_ID] for item in items],
                    C.TEXT_HASH: frame[C.TEXT_HASH].to_numpy()[row],
                    C.VECTOR: list(made),
                }
            )

    return texts.mapInPandas(vectors, ITEM_VECTORS.ddl)


def distinct_texts(spark: SparkSession, stale: pa.Table, own: pd.Series[int], slices: int) -> DataFrame:
    """One row a distinct text with the items that carry it, in an order that does not depend on the machine."""
    frame = stale.to_pandas()
    frame[OWN] = frame[C.ITEM_ID].map(own).fillna(0).astype("int32")
    ddl = f"{C.ITEM_ID} string, {C.TEXT} string, {C.TEXT_HASH} string, {OWN} int"
    return (
        spark.createDataFrame(frame, ddl)
        .groupBy(C.TEXT_HASH, C.TEXT)
        .agg(F.sort_array(F.collect_list(F.struct(C.ITEM_ID, OWN))).alias(C.ITEMS))
        .repartition(slices, C.TEXT_HASH)
        .sortWithinPartitions(F.length(C.TEXT), C.TEXT_HASH)
    )


def run(spark: SparkSession, settings: Settings, folder: Path, model_id: str, stale: pa.Table) -> None:
    """Embeds the stale items and writes them next to the vectors that stay."""
    from models.published import PublishedModel

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(TEXTS_A_SLICE))
    model = PublishedModel.load(folder)
    own = pd.Series(model.items.own, index=model.items.item_ids)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        shipped = Path(scratch) / f"tower-{model_id}"
        shutil.copytree(folder, shipped, copy_function=shutil.copyfile)
        (shipped / artifact.MANIFEST).unlink()
        slices = max(2 * spark.sparkContext.defaultParallelism, 1 + stale.num_rows // 10_000)
        texts = distinct_texts(spark, stale, own, slices)
        made = embed(texts, ship(spark, shipped), settings, model_id)
        kept = storage.empty_if_missing(spark, settings, ITEM_VECTORS).where(F.col(C.MODEL_ID) == model_id)
        stale_ids = spark.createDataFrame(stale.select([C.ITEM_ID]).to_pandas(), f"{C.ITEM_ID} string")
        rows = kept.join(stale_ids, C.ITEM_ID, "left_anti").select(*ITEM_VECTORS.names).unionByName(made)
        storage.replace(rows, settings, ITEM_VECTORS, f"{C.MODEL_ID} = '{model_id}'", {"model_id": model_id})


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = add_model(parser(__doc__)).parse_args(argv)
    run_of(arguments)
    folder = registry.chosen_folder(settings, arguments.model)
    model_id = artifact.verify(folder)["model_id"]
    stale = stale_items(settings, model_id)
    if not stale.num_rows:
        log.info("All items have their vector of model %s: nothing to embed.", model_id)
        return
    log.info("Embedding %s items with model %s …", f"{stale.num_rows:,}", model_id)
    begun = time.monotonic()
    with session("embed_items", settings) as spark:
        run(spark, settings, folder, model_id, stale)
    log.info("Embedded %s items in %.1f s.", f"{stale.num_rows:,}", time.monotonic() - begun)


if __name__ == "__main__":
    entry(main)
