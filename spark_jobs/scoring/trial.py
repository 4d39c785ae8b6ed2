"""Lists for the users of an evaluation that need Spark: of a model, by the code of the night, and of ALS."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Scoring, Settings
from models.evaluation import N, Trial
from models.histories import Ints
from spark_jobs.cluster.shipping import ship
from spark_jobs.scoring.histories import nothing_excluded
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.score import in_fixed_batches, score


def model_lists(
    spark: SparkSession,
    settings: Settings,
    trial: Trial,
    split: DataFrame,
    folder: Path,
    counts: pa.Table,
    edition: Edition,
) -> Ints:
    """Lists of a model for rows of `sequences`, by the same code as at night, [users, N].

    ``edition`` is the catalogue. All rules but availability are off.
    """
    scoring = Scoring(n=N, users_per_batch=settings.scoring.users_per_batch)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        package = Path(scratch) / f"trial-{folder.name}"
        pack(settings, folder, counts, edition, package)
        judged = spark.createDataFrame([(user,) for user in trial.user_ids], f"{C.USER_ID} string")
        rows_of_judged = split.join(judged, C.USER_ID, "left_semi").select("*", nothing_excluded())
        users = in_fixed_batches(rows_of_judged, scoring, settings.spark.shuffle_partitions)
        rows = score(users, ship(spark, package), scoring, trial.now)
        made = rows.select(C.USER_ID, F.col(f"{C.ITEMS}.{C.ITEM_ID}").alias(C.ITEMS)).toPandas()
    return _in_order(trial.user_ids, made[C.USER_ID], (trial.catalogue.positions(items) for items in made[C.ITEMS]))


def als_lists(spark: SparkSession, trial: Trial) -> Ints:
    """Lists of Spark's implicit ALS (Hu, Koren and Volinsky, 2008), rank 32, [users, N]."""
    known, items = trial.everyone, len(trial.catalogue)
    keys, counts = np.unique(known.users * items + known.items, return_counts=True)
    ratings = spark.createDataFrame(
        pd.DataFrame({"user": keys // items, "item": keys % items, "count": counts}),
        "user int, item int, count float",
    )
    als = ALS(rank=32, maxIter=6, regParam=0.1, alpha=10.0, implicitPrefs=True, seed=0, checkpointInterval=2)
    # as many blocks as cores: an iteration of the default's ten by ten is mostly the start of tasks
    als = als.setNumBlocks(spark.sparkContext.defaultParallelism)
    users = spark.createDataFrame(pd.DataFrame({"user": trial.judged}), "user int")
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        # without checkpoints the factors' lineage overflows the stack
        spark.sparkContext.setCheckpointDir(scratch)
        model = als.setUserCol("user").setItemCol("item").setRatingCol("count").fit(ratings)
        rows = model.recommendForUserSubset(users, N).select("user", "recommendations.item").toPandas()
    return _in_order(trial.judged.tolist(), rows["user"], rows["item"])


def _in_order(users: Sequence[object], user: Iterable[object], items: Iterable[Sequence[int] | Ints]) -> Ints:
    """Lists of loose (user, items) rows in the order of ``users``, [users, N]; ``-1`` pads."""
    row = {each: number for number, each in enumerate(users)}
    lists = np.full((len(users), N), -1, dtype=np.int32)
    for each, listed in zip(user, items, strict=True):
        lists[row[each], : len(listed)] = listed
    return lists
