"""Vectors of the catalogue, on the executors: every distinct text is encoded once, and only where it is new."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import ITEM_VECTORS
from models import artifact
from spark_jobs.cluster.shipping import Shipment, ship

if TYPE_CHECKING:
    from models.item_tower import ItemTower
    from models.published import PublishedModel
    from models.text_vectors import Encode, TextVectors

ID_ROW = "id_row"
"""Row of an item's id embedding: 0 for an item new since training."""

TEXTS_A_SLICE = 1024
"""Texts sorted by length together: enough that a batch holds like lengths, small beside the catalogue."""


def stale_items(settings: Settings, model_id: str, edition: Edition) -> pa.Table:
    """Items of an edition of the catalogue without a vector of their text: item_id, text, text_hash."""
    items = catalogue.arrow(settings, edition, [C.ITEM_ID, C.TEXT, C.TEXT_HASH])
    if not lake.exists(settings, ITEM_VECTORS):
        return items
    there = lake.arrow(settings, ITEM_VECTORS, [C.ITEM_ID, C.TEXT_HASH], {C.MODEL_ID: model_id})
    return items.join(there, keys=[C.ITEM_ID, C.TEXT_HASH], join_type="left anti")


def embed(spark: SparkSession, settings: Settings, folder: Path, stale: pa.Table) -> None:
    """Embeds the stale items with the model in ``folder``, and writes them next to the vectors that stay."""
    from models.published import PublishedModel

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(TEXTS_A_SLICE))
    model_id, known = folder.name, PublishedModel.load(folder).items
    id_rows = pd.Series(known.id_rows, index=list(known.item_ids))
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        shipped = Path(scratch) / f"tower-{model_id}"
        not_read = shutil.ignore_patterns(artifact.PAIR_MODEL)
        shutil.copytree(folder, shipped, copy_function=shutil.copyfile, ignore=not_read)
        (shipped / artifact.MANIFEST).unlink()
        slices = max(2 * spark.sparkContext.defaultParallelism, 1 + stale.num_rows // 10_000)
        # a few texts are encoded in less time than another worker takes to start
        slices = min(slices, 1 + stale.num_rows // 1_000)
        made = encoded(distinct_texts(spark, stale, id_rows, slices), ship(spark, shipped), model_id)
        kept = lake.read_or_empty(spark, settings, ITEM_VECTORS).where(F.col(C.MODEL_ID) == model_id)
        # vectors of texts that an item had on other days stay: a backfilled night needs them
        rows = kept.select(*ITEM_VECTORS.names).unionByName(made)
        lake.replace(rows, settings, ITEM_VECTORS, f"{C.MODEL_ID} = '{model_id}'", {"model_id": model_id})


def distinct_texts(spark: SparkSession, stale: pa.Table, id_rows: pd.Series[int], slices: int) -> DataFrame:
    """One row a distinct text with the items that carry it, in an order that does not depend on the machine."""
    frame = stale.to_pandas()
    frame[ID_ROW] = frame[C.ITEM_ID].map(id_rows).fillna(0).astype("int32")
    ddl = f"{C.ITEM_ID} string, {C.TEXT} string, {C.TEXT_HASH} string, {ID_ROW} int"
    return (
        spark.createDataFrame(frame, ddl)
        .groupBy(C.TEXT_HASH, C.TEXT)
        .agg(F.sort_array(F.collect_list(F.struct(C.ITEM_ID, ID_ROW))).alias(C.ITEMS))
        .repartition(slices, C.TEXT_HASH)
        .sortWithinPartitions(F.length(C.TEXT), C.TEXT_HASH)
    )


def encoded(texts: DataFrame, shipment: Shipment, model_id: str) -> DataFrame:
    """Rows of `item_vectors` for rows of (text, text_hash, items: array<struct<item_id, id_row>>)."""

    def load(folder: Path) -> tuple[Encode, TextVectors, PublishedModel]:
        import torch

        from models.published import TOWER, PublishedModel
        from models.text_vectors import TextVectors

        torch.set_num_threads(1)  # Spark runs a worker on every core
        model = PublishedModel.load(folder)
        # the model's own cut, not today's: its other vectors were made with it
        own = model.settings.tower

        @cache
        def tower() -> ItemTower:
            # transformers takes longer to import than all else: who meets known texts alone does not wait for it
            from models.int8 import for_inference
            from models.item_tower import ItemTower

            return for_inference(ItemTower.load(folder / TOWER, own.max_tokens), own)

        return lambda texts: tower().encode(texts, own.text_batch), TextVectors.load(folder), model

    def vectors(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        encode, known, model = shipment.open(load)
        for frame in frames:
            of_texts = known.encode(frame[C.TEXT].tolist(), encode)
            row = np.repeat(np.arange(len(frame)), frame[C.ITEMS].map(len).to_numpy())
            items = [item for each in frame[C.ITEMS] for item in each]
            said = model.space.of_texts(of_texts)[row]
            made = model.item_vectors(of_texts[row], np.array([item[ID_ROW] for item in items], dtype=np.int32))
            yield pd.DataFrame(
                {
                    C.MODEL_ID: model_id,
                    C.ITEM_ID: [item[C.ITEM_ID] for item in items],
                    C.TEXT_HASH: frame[C.TEXT_HASH].to_numpy()[row],
                    C.VECTOR: list(made),
                    C.TEXT_VECTOR: list(said),
                }
            )

    return texts.mapInPandas(vectors, ITEM_VECTORS.ddl)
