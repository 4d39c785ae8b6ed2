"""The same factors through Spark, with the table written: ALS's `recommendForAllUsers`, and the kernel on executors."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyspark.sql import DataFrame, SparkSession

from models.kernel import ItemIndex
from models.ragged import Floats
from spark_jobs.cluster.shipping import ship

USERS, ITEMS, SIZE, K = 98_640, 28_165, 64, 50
ROWS = "id int, recommendations array<struct<item:int,rating:float>>"
ITEM_VECTORS = "items.npy"


@dataclass(frozen=True)
class ThroughSpark:
    """One of the two ways."""

    name: str
    seconds: float
    pairs_per_second: float


def compared(spark: SparkSession) -> list[ThroughSpark]:
    """Both ways on the same factors, each once to warm up on a tenth of the users, then on all."""
    random = np.random.default_rng(0)
    users = random.standard_normal((USERS, SIZE), dtype=np.float32)
    items = random.standard_normal((ITEMS, SIZE), dtype=np.float32)
    made = []
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        folder = Path(scratch)
        kernel, als = _kernel(spark, items, folder / "bench-scoring-items"), _als(spark, items)
        for name, way in (("nightshift", kernel), ("Spark ALS recommendForAllUsers", als)):
            for rows in (users[: USERS // 10], users):
                factors = _factors(spark, rows)
                factors.count()
                begun = time.perf_counter()
                way(factors).write.mode("overwrite").parquet(str(folder / "written"))
                seconds = time.perf_counter() - begun
                there = spark.read.parquet(str(folder / "written")).count()
                if there != len(rows):
                    raise RuntimeError(f"{name} wrote {there} rows of {len(rows)}")
                factors.unpersist()
            made.append(ThroughSpark(name, seconds, USERS * ITEMS / seconds))
    return made


def _factors(spark: SparkSession, vectors: Floats) -> DataFrame:
    """Rows of (id, features) as ALS has them, in memory, in as many parts as there are cores."""
    table = pa.table({"id": np.arange(len(vectors), dtype=np.int32), "features": list(vectors)})
    return spark.createDataFrame(table).repartition(spark.sparkContext.defaultParallelism).cache()


def _als(spark: SparkSession, items: Floats) -> Callable[[DataFrame], DataFrame]:
    """Spark's way. Its model has no constructor in Python: it comes from a fit, but for these factors from Java's."""
    of_items = _factors(spark, items)

    def recommended(users: DataFrame) -> DataFrame:
        jvm: Any = spark._jvm
        java = jvm.org.apache.spark.ml.recommendation.ALSModel("als", SIZE, users._jdf, of_items._jdf)
        java.setUserCol("user")
        java.setItemCol("item")
        return DataFrame(java.recommendForAllUsers(K), spark)

    return recommended


def _kernel(spark: SparkSession, items: Floats, folder: Path) -> Callable[[DataFrame], DataFrame]:
    """Ours: the items travel as a file, and are opened once a worker."""
    folder.mkdir()
    np.save(folder / ITEM_VECTORS, items)
    shipment = ship(spark, folder)

    def recommended(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        index = shipment.open(_opened)
        for batch in batches:
            vectors = batch.column("features").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), SIZE)
            found, scores = index.best_and_scores(np.ascontiguousarray(vectors, dtype=np.float32), K)
            rows = pa.StructArray.from_arrays([pa.array(found.ravel()), pa.array(scores.ravel())], ["item", "rating"])
            starts = pa.array(np.arange(0, found.size + 1, K, dtype=np.int32))
            lists = pa.ListArray.from_arrays(starts, rows)
            yield pa.RecordBatch.from_arrays([batch.column("id"), lists], ["id", "recommendations"])

    return lambda users: users.mapInArrow(recommended, ROWS)


def _opened(folder: Path) -> ItemIndex:
    return ItemIndex.of(np.load(folder / ITEM_VECTORS))
