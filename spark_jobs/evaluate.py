"""Compares the challenger with the champion and the baselines on the test window, and promotes it if it wins.

    python -m spark_jobs.evaluate --start 2017-12-16 --end 2017-12-23 --run-id by-hand

Everyone ranks the whole catalogue as of the test window's start. The alias `champion` moves if the challenger's
NDCG@10 is higher than the champion's on the same users, or, the first time, than the popular baseline's. A
challenger that does not win is no failure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models import artifact, baselines, metrics, registry
from models.catalogue import Catalogue
from models.cooccurrence import PairSettings, neighbours
from models.histories import Histories, Ints
from models.metrics import Relevant
from models.published import PublishedModel
from models.scoring import best_matches
from models.snapshot import Split, is_target, read_catalogue, read_split
from models.text_vectors import TextVectors
from models.user_encoder import NO_OWN
from spark_jobs import embed_items, storage
from spark_jobs.contracts.cli import entry, log, parser, run_of, timed
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Scoring, Settings
from spark_jobs.contracts.tables import EVENTS, MODEL_EVALUATIONS, SEQUENCES
from spark_jobs.contracts.windows import TEST, Windows
from spark_jobs.score_users import daily_counts, in_fixed_batches, pack, score
from spark_jobs.session import session
from spark_jobs.shipping import ship

N = 20
"""Length of the lists that are compared."""

LENGTHS = (10, 20)
GATE = "ndcg@10"
"""The metric that decides."""

POPULAR = "baseline/popular_7_days"
ALL = "all"


@dataclass(frozen=True)
class Trial:
    """The users of the test window: what was known, and what they then took."""

    user_ids: list[str]
    histories: Histories
    relevant: Relevant
    catalogue: Catalogue
    now: int
    shop: Histories  # target events of everyone, which baselines count in
    chosen: Ints  # [users], the trial's users among everyone


def trial_of(split: Split, catalogue: Catalogue, settings: Settings, now: int) -> Trial:
    """The users with a history and something to predict."""
    chosen = np.flatnonzero((split.relevant.counts > 0) & (split.histories.lengths > 0)).astype(np.int32)
    known = split.histories.select(split.histories.items >= 0)
    return Trial(
        [split.user_ids[user] for user in chosen],
        known.take(chosen),
        split.relevant.take(chosen),
        catalogue,
        now,
        known.select(is_target(known, settings)),
        chosen,
    )


def baseline_lists(trial: Trial, settings: Settings) -> dict[str, Ints]:
    """Lists of each baseline that needs no Spark, [users, N]."""
    pairs = PairSettings(neighbours=settings.training.neighbours)
    near = neighbours(trial.shop, trial.now, len(trial.catalogue), pairs)
    lists = {
        POPULAR: baselines.popular(trial.shop, trial.now, N),
        "baseline/own_repeats_90_days": baselines.own_repeats(trial.shop, trial.now, N),
        "baseline/item_knn": baselines.item_knn(trial.shop, near, trial.now, N),
    }
    return {name: everyone[trial.chosen] for name, everyone in lists.items()}


def als_lists(spark: SparkSession, trial: Trial) -> Ints:
    """Lists of Spark's implicit ALS (Hu, Koren and Volinsky, 2008), rank 32, [users, N]."""
    known, chosen = trial.shop, trial.chosen
    keys, counts = np.unique(known.users.astype(np.int64) * len(trial.catalogue) + known.items, return_counts=True)
    ratings = spark.createDataFrame(
        pd.DataFrame({"user": keys // len(trial.catalogue), "item": keys % len(trial.catalogue), "count": counts}),
        "user int, item int, count float",
    )
    als = ALS(rank=32, maxIter=6, regParam=0.1, alpha=10.0, implicitPrefs=True, seed=0, checkpointInterval=2)
    # as many blocks as cores: an iteration of the default's ten by ten is mostly the start of tasks
    als = als.setNumBlocks(spark.sparkContext.defaultParallelism)
    users = spark.createDataFrame(pd.DataFrame({"user": chosen}), "user int")
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        # without checkpoints the factors' lineage overflows the stack
        spark.sparkContext.setCheckpointDir(scratch)
        model = als.setUserCol("user").setItemCol("item").setRatingCol("count").fit(ratings)
        rows = model.recommendForUserSubset(users, N).select("user", "recommendations.item").toPandas()
    place = {user: row for row, user in enumerate(chosen.tolist())}
    lists = np.full((len(chosen), N), -1, dtype=np.int32)
    for user, items in zip(rows["user"], rows["item"], strict=True):
        lists[place[user], : len(items)] = items
    return lists


def text_lists(trial: Trial, folder: Path) -> Iterator[tuple[str, Ints]]:
    """Lists by the text alone, before and after tuning: items closest to the mean of the last 50 texts.

    Only the items that the tower was tuned for take part, in both.
    """
    known = TextVectors.load(folder)
    rows = known.rows(list(trial.catalogue.texts))
    takes_part = (rows >= 0) & (PublishedModel.load(folder).on(trial.catalogue).items.own != NO_OWN)
    recent = trial.histories.last(50)
    for name, vectors in (("before", known.before), ("after", known.after)):
        centred = vectors - vectors[rows[takes_part]].mean(0)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        whole = np.where(takes_part[:, None], centred[rows], np.float32(0))
        users = np.zeros((len(recent), whole.shape[1]), dtype=np.float32)
        np.add.at(users, recent.users, whole[recent.items])
        yield f"text_{name}_tuning", best_matches(users, whole, takes_part, N)


def model_lists(
    spark: SparkSession, settings: Settings, trial: Trial, split: DataFrame, folder: Path, counts: pa.Table
) -> Ints:
    """Lists of a model for rows of `sequences`, by the same code as at night, [users, N].

    All rules but availability are off.
    """
    scoring = Scoring(n=N, matched=settings.scoring.matched, users_per_batch=settings.scoring.users_per_batch)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        packed = Path(scratch) / f"trial-{folder.name}"
        pack(settings, folder, counts, packed)
        asked = spark.createDataFrame([(user,) for user in trial.user_ids], f"{C.USER_ID} string")
        users = in_fixed_batches(split.join(asked, C.USER_ID, "left_semi"), scoring, settings.spark.shuffle_partitions)
        rows = score(users, ship(spark, packed), scoring, settings.ingest.targets, trial.now)
        made = rows.select(C.USER_ID, F.col(f"{C.ITEMS}.{C.ITEM_ID}").alias(C.ITEMS)).toPandas()
    lists = np.full((len(trial.user_ids), N), -1, dtype=np.int32)
    place = {user: row for row, user in enumerate(trial.user_ids)}
    for user, items in zip(made[C.USER_ID], made[C.ITEMS], strict=True):
        lists[place[user], : len(items)] = trial.catalogue.positions(items)
    return lists


def segments(trial: Trial) -> dict[str, Relevant]:
    """Parts of what is relevant: all, new to the user or repeated, head (most bought tenth) or tail items."""
    relevant, items = trial.relevant, len(trial.catalogue)
    owner = np.repeat(np.arange(len(relevant.counts), dtype=np.int64), relevant.counts)
    past = trial.histories
    had = np.isin(owner * items + relevant.items, past.users.astype(np.int64) * items + past.items)
    bought = np.bincount(past.items, minlength=items)
    head = bought >= np.quantile(bought[bought > 0], 0.9) if (bought > 0).any() else bought > 0
    parts = {
        "items: new to the user": ~had,
        "items: repeated": had,
        "items: head": head[relevant.items],
        "items: tail": ~head[relevant.items],
    }
    light = past.lengths < np.median(past.lengths)
    parts |= {"users: short history": light[owner], "users: long history": ~light[owner]}
    found = {ALL: relevant}
    for name, keep in parts.items():
        counts = np.bincount(owner[keep], minlength=len(relevant.counts))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        found[name] = Relevant(indptr, relevant.items[keep])
    return found


def measured(trial: Trial, lists: Ints) -> dict[tuple[str, str], metrics.Estimate]:
    """Every metric of one recommender, by (segment, metric)."""
    found: dict[tuple[str, str], metrics.Estimate] = {}
    for segment, relevant in segments(trial).items():
        for n in LENGTHS:
            for name, values in metrics.accuracy(lists, relevant, n).items():
                found[segment, f"{name}@{n}"] = metrics.estimate(values)
    bought = np.bincount(trial.shop.items, minlength=len(trial.catalogue))
    users = len(trial.user_ids)
    share = metrics.coverage(lists[:, :10], len(trial.catalogue))
    found[ALL, "coverage@10"] = metrics.Estimate(share, float("nan"), float("nan"), users)
    found[ALL, "novelty@10"] = metrics.estimate(metrics.novelty(lists[:, :10], bought))
    found[ALL, "diversity@10"] = metrics.estimate(metrics.diversity(lists[:, :10], trial.catalogue.codes[1]))
    return found


def rows_of(snapshot_id: str, results: dict[str, dict[tuple[str, str], metrics.Estimate]]) -> list[tuple[object, ...]]:
    """Rows of `model_evaluations`; an interval that does not exist is null."""

    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        (subject, snapshot_id, segment, metric, float(each.mean), number(each.low), number(each.high), each.users)
        for subject, found in results.items()
        for (segment, metric), each in found.items()
        if not np.isnan(each.mean)
    ]


def decide(trial: Trial, lists: dict[str, Ints], challenger: str, rival: str) -> bool:
    """Whether the challenger's NDCG@10 is higher than the rival's on the same users."""
    values = {name: metrics.accuracy(lists[name], trial.relevant, 10)["ndcg"] for name in (challenger, rival)}
    gain = metrics.paired_difference(values[challenger], values[rival])
    log.info(
        "%s: challenger %.4f, %s %.4f, paired gain %+.4f (95%% interval %+.4f … %+.4f, %d users)",
        GATE, np.nanmean(values[challenger]), rival, np.nanmean(values[rival]), gain.mean, gain.low, gain.high,
        gain.users,
    )  # fmt: skip
    return gain.mean > 0


def run(spark: SparkSession, settings: Settings, windows: Windows) -> bool:
    """Evaluates the challenger, writes the results, and says whether it became the champion."""
    mlflow = registry.client(settings)
    challenger = registry.folder_of(settings, registry.CHALLENGER)
    champion = registry.find(mlflow, registry.CHAMPION)
    artifact.verify(challenger)
    catalogue = read_catalogue(settings)
    split = read_split(settings, catalogue, windows.snapshot_id, TEST)
    trial = trial_of(split, catalogue, settings, windows.test_start)
    log.info("Comparing on %d users who took something in the test window.", len(trial.user_ids))

    models = [challenger] + ([settings.models / champion] if champion not in (None, challenger.name) else [])
    sequences = storage.read(spark, settings, SEQUENCES).where(F.col(C.SNAPSHOT_ID) == windows.snapshot_id)
    test_rows = sequences.where(F.col(C.SPLIT) == TEST).select(C.USER_ID, C.ITEM_IDS, C.BEHAVIOURS, C.TIMES)
    test_day = windows.end - timedelta(days=windows.window_days)
    with ThreadPoolExecutor(1) as aside:
        simple = aside.submit(baseline_lists, trial, settings)  # NumPy on one core, beside Spark
        counts = daily_counts(storage.read(spark, settings, EVENTS), test_day, settings.ingest.targets).toArrow()
        with timed("Fitting ALS"):
            factorised = als_lists(spark, trial)
        lists = simple.result() | {"baseline/als": factorised}
    for name, made in text_lists(trial, challenger):
        lists[f"{name}/{challenger.name}"] = made
    for folder in models:
        stale = embed_items.stale_items(settings, folder.name)
        if stale.num_rows:
            log.info("Embedding %s items with model %s …", f"{stale.num_rows:,}", folder.name)
            embed_items.run(spark, settings, folder, folder.name, stale)
        with timed(f"Scoring the test users with model {folder.name}"):
            lists[folder.name] = model_lists(spark, settings, trial, test_rows, folder, counts)

    results = {name: measured(trial, made) for name, made in lists.items()}
    for name, found in results.items():
        log.info("%-40s NDCG@10 %.4f  recall@10 %.4f", name, found[ALL, GATE].mean, found[ALL, "recall@10"].mean)
    where = f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}'"
    storage.replace_small(settings, MODEL_EVALUATIONS, rows_of(windows.snapshot_id, results), where)
    rival = POPULAR if champion is None else champion
    if rival == challenger.name:
        log.info("Model %s is the champion already.", challenger.name)
        return True
    promoted = decide(trial, lists, challenger.name, rival)
    if promoted:
        registry.promote(mlflow, challenger.name)
        log.info("Model %s is the champion now.", challenger.name)
    else:
        log.info("The champion stays: model %s did not beat %s.", challenger.name, rival)
    return promoted


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = run_of(parser(__doc__).parse_args(argv))
    with ThreadPoolExecutor(1) as aside:
        aside.submit(registry.client, settings)  # MLflow takes seconds to import, in which Spark starts
        with session("evaluate", settings) as spark:
            run(spark, settings, Windows.of(settings, arguments.interval.end))


if __name__ == "__main__":
    entry(main)
