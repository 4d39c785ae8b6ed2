"""Vectors of the catalogue: every distinct text is encoded once, and only where it is new.

Many texts are encoded on the executors, a few by the step itself: it has them before workers have started.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from contracts.cli import log
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import ITEM_VECTORS
from models import artifact
from spark_jobs.cluster.shipping import Shipment, ship

if TYPE_CHECKING:
    from models.histories import Floats, Ints
    from models.item_tower import ItemTower
    from models.published import ItemKnowledge, PublishedModel
    from models.text_vectors import Encode, TextVectors

ID_ROW = "id_row"
"""Row of an item's id embedding: 0 for an item new since training."""

TEXTS_A_SLICE = 1024
"""Texts sorted by length together: enough that a batch holds like lengths, small beside the catalogue."""

FEW_TEXTS, FEW_ITEMS = 2_000, 200_000
"""So many texts that nobody has encoded yet, and so many items, are embedded without Spark: in less time than that
takes to start, and with some 8 kB of memory an item."""


def stale_items(settings: Settings, model_id: str, edition: Edition) -> pa.Table:
    """Items of an edition of the catalogue without a vector of their text: item_id, text, text_hash."""
    items = catalogue.arrow(settings, edition, [C.ITEM_ID, C.TEXT, C.TEXT_HASH])
    if not lake.exists(settings, ITEM_VECTORS):
        return items
    there = lake.arrow(settings, ITEM_VECTORS, [C.ITEM_ID, C.TEXT_HASH], {C.MODEL_ID: model_id})
    return items.join(there, keys=[C.ITEM_ID, C.TEXT_HASH], join_type="left anti")


@dataclass(frozen=True)
class Embedder:
    """A model's tower and what belongs to it, in memory."""

    model: PublishedModel
    known: TextVectors
    encode: Encode

    @classmethod
    def open(cls, folder: Path) -> Embedder:
        """Reads a model folder. Check it with `models.artifact.verify` first."""
        from models.published import TOWER, PublishedModel
        from models.text_vectors import TextVectors

        model = PublishedModel.load(folder)
        # the model's own cut, not today's: its other vectors were made with it
        own = model.settings.tower

        @cache
        def tower() -> ItemTower:
            # transformers takes longer to import than all else: who meets known texts alone does not wait for it
            from models.int8 import for_inference
            from models.item_tower import ItemTower

            return for_inference(ItemTower.load(folder / TOWER, own.max_tokens), own)

        return cls(model, TextVectors.load(folder), lambda texts: tower().encode(texts, own.text_batch))

    def vectors(self, texts: Sequence[str], of_item: Ints, id_rows: Ints) -> tuple[Floats, Floats]:
        """The vectors of items, and those of their texts alone, [items, size] each.

        Args:
            texts: All distinct.
            of_item: Number of each item's text, [items].
            id_rows: Row of each item's id embedding, [items].
        """
        of_texts = self.known.encode(texts, self.encode)
        return self.model.item_vectors(of_texts[of_item], id_rows), self.model.space.of_texts(of_texts)[of_item]


def embed_here(settings: Settings, folder: Path, stale: pa.Table) -> bool:
    """Embeds the stale items with the model in ``folder`` in this process, if they are few; tells whether they are."""
    if stale.num_rows > FEW_ITEMS:
        return False
    embedder = Embedder.open(folder)
    texts = stale[C.TEXT].combine_chunks().dictionary_encode()
    distinct, of_item = texts.dictionary.to_pylist(), texts.indices.to_numpy().astype(np.int32)
    if np.count_nonzero(embedder.known.rows(distinct) < 0) > FEW_TEXTS:
        return False
    tell(folder, stale)
    made, said = embedder.vectors(distinct, of_item, id_rows_of(embedder.model.items, stale[C.ITEM_ID].to_pylist()))
    columns = {
        C.MODEL_ID: pa.repeat(folder.name, stale.num_rows),
        C.ITEM_ID: stale[C.ITEM_ID],
        C.TEXT_HASH: stale[C.TEXT_HASH],
        C.VECTOR: as_lists(made),
        C.TEXT_VECTOR: as_lists(said),
    }
    lake.add(settings, ITEM_VECTORS, pa.table(columns), {C.MODEL_ID: folder.name})
    return True


def tell(folder: Path, stale: pa.Table) -> None:
    """Logs what is going to be embedded."""
    log.info("Embedding %s items with model %s …", f"{stale.num_rows:,}", folder.name)


def id_rows_of(known: ItemKnowledge, items: list[str]) -> Ints:
    """Row of each item's id embedding, [items]; 0 for an item new since training."""
    rows: Ints = pd.Series(known.id_rows, index=list(known.item_ids)).reindex(items, fill_value=0).to_numpy()
    return rows


def as_lists(vectors: Floats) -> pa.Array:
    """Vectors [items, size] as Arrow has them in a table."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]).cast(pa.list_(pa.float32()))


def embed_on_executors(spark: SparkSession, settings: Settings, folder: Path, stale: pa.Table) -> None:
    """Embeds the stale items with the model in ``folder``, and writes them next to the vectors that stay."""
    from models.published import PublishedModel

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(TEXTS_A_SLICE))
    tell(folder, stale)
    model_id, known = folder.name, PublishedModel.load(folder).items
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        shipped = Path(scratch) / f"tower-{model_id}"
        not_read = shutil.ignore_patterns(artifact.PAIR_MODEL)
        shutil.copytree(folder, shipped, copy_function=shutil.copyfile, ignore=not_read)
        (shipped / artifact.MANIFEST).unlink()
        slices = max(2 * spark.sparkContext.defaultParallelism, 1 + stale.num_rows // 10_000)
        # a few texts are encoded in less time than another worker takes to start
        slices = min(slices, 1 + stale.num_rows // 1_000)
        made = encoded(distinct_texts(spark, stale, known, slices), ship(spark, shipped), model_id)
        kept = lake.read_or_empty(spark, settings, ITEM_VECTORS).where(F.col(C.MODEL_ID) == model_id)
        # vectors of texts that an item had on other days stay: a backfilled night needs them
        rows = kept.select(*ITEM_VECTORS.names).unionByName(made)
        lake.replace(rows, settings, ITEM_VECTORS, f"{C.MODEL_ID} = '{model_id}'", {"model_id": model_id})


def distinct_texts(spark: SparkSession, stale: pa.Table, known: ItemKnowledge, slices: int) -> DataFrame:
    """One row a distinct text with the items that carry it, in an order that does not depend on the machine."""
    frame = stale.to_pandas()
    frame[ID_ROW] = id_rows_of(known, frame[C.ITEM_ID].tolist())
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

    def load(folder: Path) -> Embedder:
        import torch

        torch.set_num_threads(1)  # Spark runs a worker on every core
        return Embedder.open(folder)

    def vectors(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        embedder = shipment.open(load)
        for frame in frames:
            row = np.repeat(np.arange(len(frame), dtype=np.int32), frame[C.ITEMS].map(len).to_numpy())
            items = [item for each in frame[C.ITEMS] for item in each]
            id_rows = np.array([item[ID_ROW] for item in items], dtype=np.int32)
            made, said = embedder.vectors(frame[C.TEXT].tolist(), row, id_rows)
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
