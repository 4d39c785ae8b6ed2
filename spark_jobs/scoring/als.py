"""Fits Spark's implicit ALS: the items' factors of `models.baselines.als`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession

from contracts.places import scratch
from models.baselines.als import ALPHA, PENALTY, RANK, Factors
from models.histories import Floats, Ints, Longs

ITERATIONS = 6


def factors_of(spark: SparkSession, shared: Path | None = None) -> Factors:
    """A function that fits ALS on loose (user, item, count) rows in this session.

    Args:
        spark: The session.
        shared: A folder that all machines of the session have in common, for checkpoints: what one writes, others
            read. None: all is one machine.
    """

    def fitted(user: Longs, item: Ints, count: Floats, items: int) -> Floats:
        made = np.zeros((items, RANK), dtype=np.float32)
        if not len(user):
            return made
        ratings = spark.createDataFrame(
            pd.DataFrame({"user": user, "item": item, "count": count}), "user int, item int, count float"
        )
        als = ALS(
            rank=RANK, maxIter=ITERATIONS, regParam=PENALTY, alpha=ALPHA, implicitPrefs=True, seed=0,
            checkpointInterval=2, userCol="user", itemCol="item", ratingCol="count",
        )  # fmt: skip
        # as many blocks as cores: an iteration of the default's ten by ten is mostly the start of tasks
        als = als.setNumBlocks(spark.sparkContext.defaultParallelism)
        with scratch(".als-", shared) as folder:
            # without checkpoints the factors' lineage overflows the stack
            spark.sparkContext.setCheckpointDir(folder)
            rows = als.fit(ratings).itemFactors.toPandas()
        made[rows["id"].to_numpy()] = np.stack(rows["features"].to_list())
        return made

    return fitted
