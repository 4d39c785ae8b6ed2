"""Compares the challenger with the champion and the baselines on the test window, and promotes it if it wins.

    python -m spark_jobs.evaluate --as-of 2017-12-23
    python -m spark_jobs.evaluate --as-of 2017-12-23 --model 2017-12-23-0a1b2c3d

The challenger is the model that is named, in Airflow the one that the same run trained; without a name the one with
the alias `challenger`. It has to be made from the snapshot as of that day. Events and items are read in the versions
that the snapshot was made from: what a night writes meanwhile changes nothing.

Everyone ranks the whole catalogue as of the test window's start. The alias `champion` moves if the challenger's
NDCG@10 is higher than the champion's on the same users, or, the first time, than the popular baseline's. A
challenger that does not win is no failure. As of a day of the past, the rival is the champion of that time, and the
winner is for the nights of that time: the alias does not go back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.catalogue import Edition
from contracts.cli import AsOf, argument, log, timed
from contracts.columns import Columns as C
from contracts.errors import ModelError
from contracts.model_ids import knows_later
from contracts.settings import Settings
from contracts.tables import EVENTS, GAIN_OVER, ITEMS, MODEL_EVALUATIONS, SEQUENCES
from contracts.windows import TEST, Windows
from models import artifact
from models.baselines import ALS, popular_name
from models.cost import Cost
from models.evaluation import ALL, GATE, Results, Trial, baseline_lists, gain, measured, text_lists
from models.histories import Ints
from models.metrics import Estimate
from models.published import ABOUT, PublishedModel
from models.store import registry
from models.store.snapshot import pins, read_catalogue, read_split, windows_of
from models.text_vectors import TextVectors
from models.user_encoder import NO_ID
from spark_jobs.cluster.step import main
from spark_jobs.scoring.embedding import embed, stale_items
from spark_jobs.scoring.histories import daily_counts
from spark_jobs.scoring.trial import als_lists, model_lists


@dataclass(frozen=True)
class Arguments(AsOf):
    """The day before which events count, and the model that is judged."""

    model: str | None = argument("model to judge, a folder of models/ (the challenger)", metavar="ID", default=None)


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> bool:
    """Evaluates the challenger, writes the results, and says whether it is the champion now.

    Raises:
        InputError: there is no snapshot as of that day, or a table has the snapshot's version no more.
        ModelError: there is no such model, it is of another snapshot, or a model's folder is damaged.
        RegistryError: MLflow could not be reached: nothing is promoted without the comparison.
    """
    windows = windows_of(settings, arguments.as_of)
    versions = pins(settings, windows.snapshot_id)
    events_at, edition = versions[EVENTS.name], Edition.before(windows.end, versions.get(ITEMS.name))
    challenger = challenger_folder(settings, windows, arguments.model)
    champion = registry.model_of_night(settings, windows.end)
    if champion and knows_later(champion, windows.end):
        log.info("Model %s knows what users did in the test window and after it: it is no rival.", champion)
        champion = None
    trial = read_trial(settings, windows, edition)
    log.info("Comparing on %d users with a target event in the test window.", len(trial.user_ids))

    rivals = [settings.models / champion] if champion not in (None, challenger.name) else []
    lists = simple_lists(spark, settings, trial, challenger)
    counts = counts_before(spark, settings, windows, events_at)
    for folder in [challenger, *rivals]:
        embed_stale(spark, settings, folder, edition)
        with timed(f"Scoring the test users with model {folder.name}"):
            rows = split_rows(spark, settings, windows)
            lists[folder.name] = model_lists(spark, settings, trial, rows, folder, counts, edition)

    results = {name: measured(trial, made) for name, made in lists.items()}
    for name, of_one in results.items():
        log.info("%-40s NDCG@10 %.4f  recall@10 %.4f", name, of_one[ALL, GATE].mean, of_one[ALL, "recall@10"].mean)
    rival = champion or popular_name(settings.baselines)
    won = gain(trial, lists[challenger.name], lists[rival])
    made = rows_of(windows.snapshot_id, results)
    if rival == challenger.name:
        made += gains_before(settings, windows, challenger.name)
    else:
        made += rows_of(windows.snapshot_id, {challenger.name: {(f"{GAIN_OVER}{rival}", GATE): won}})
    lake.replace_small(settings, MODEL_EVALUATIONS, made, f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}'")
    if rival == challenger.name:
        log.info("Model %s is the champion already.", challenger.name)
        return True
    return decide(settings, won, challenger, rival)


def challenger_folder(settings: Settings, windows: Windows, model_id: str | None) -> Path:
    """Folder of the model that is judged: the one that is named, or else the one with the alias.

    Raises:
        ModelError: there is no such model, it is damaged, or made from another snapshot.
    """
    if model_id == "":
        raise ModelError(
            "There is no model to judge: fine_tune of this run has given none, as when somebody marked it a success. "
            "Clear fine_tune, or judge a model by hand: python -m spark_jobs.evaluate --as-of DAY --model ID."
        )
    folder = (
        registry.chosen_folder(settings, model_id) if model_id else registry.folder_of(settings, registry.CHALLENGER)
    )
    artifact.verify(folder)
    made_from = json.loads((folder / ABOUT).read_text())["snapshot_id"]
    if made_from != windows.snapshot_id:
        raise ModelError(
            f"Model {folder.name} was made from snapshot {made_from}, and is to be judged as of {windows.end}, on "
            f"snapshot {windows.snapshot_id}. Judge it as of its own day, or name the model of this one with --model."
        )
    return folder


def read_trial(settings: Settings, windows: Windows, edition: Edition) -> Trial:
    """The users of the test window."""
    catalogue = read_catalogue(settings, edition)
    split = read_split(settings, catalogue, windows.snapshot_id, TEST)
    behaviours = list(settings.ingest.behaviours)
    targets = [behaviours.index(name) for name in settings.ingest.targets]
    return Trial.of(split.user_ids, split.histories, split.relevant, catalogue, targets, windows.test_start)


def simple_lists(spark: SparkSession, settings: Settings, trial: Trial, challenger: Path) -> dict[str, Ints]:
    """Lists of the baselines, and of the challenger's texts alone."""
    with ThreadPoolExecutor(1) as aside:
        arrays_alone = aside.submit(baseline_lists, trial, settings)  # NumPy on one core, beside Spark
        with timed("Fitting ALS"):
            factorised = als_lists(spark, trial)
        lists = arrays_alone.result() | {ALS: factorised}
    is_warm = PublishedModel.load(challenger).items.on(trial.catalogue).id_rows != NO_ID
    texts = text_lists(trial, TextVectors.load(challenger), is_warm)
    return lists | {f"{name}/{challenger.name}": made for name, made in texts}


def counts_before(spark: SparkSession, settings: Settings, windows: Windows, events_at: int) -> pa.Table:
    """Daily counts of the items before the test window."""
    test_day = windows.end - timedelta(days=windows.window_days)
    return daily_counts(lake.read(spark, settings, EVENTS, events_at), test_day, settings).toArrow()


def split_rows(spark: SparkSession, settings: Settings, windows: Windows) -> DataFrame:
    """Histories of the test split, as scoring reads them."""
    sequences = lake.read(spark, settings, SEQUENCES).where(F.col(C.SNAPSHOT_ID) == windows.snapshot_id)
    return sequences.where(F.col(C.SPLIT) == TEST).select(C.USER_ID, C.ITEM_IDS, C.BEHAVIOURS, C.TIMES, C.SESSIONS)


def embed_stale(spark: SparkSession, settings: Settings, folder: Path, edition: Edition) -> None:
    """Gives every item its vector of the model in ``folder``."""
    stale = stale_items(settings, folder.name, edition)
    if stale.num_rows:
        log.info("Embedding %s items with model %s …", f"{stale.num_rows:,}", folder.name)
        embed(spark, settings, folder, stale)


def rows_of(snapshot_id: str, results: Mapping[str, Results]) -> list[tuple[object, ...]]:
    """Rows of `model_evaluations`; an interval that does not exist is null."""

    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        (name, snapshot_id, segment, metric, float(each.mean), number(each.low), number(each.high), each.users)
        for name, of_one in results.items()
        for (segment, metric), each in of_one.items()
        if not np.isnan(each.mean)
    ]


def gains_before(settings: Settings, windows: Windows, model_id: str) -> list[tuple[object, ...]]:
    """The rows of what a model had gained when it was judged first: once it is the champion, it has no rival."""
    of_model = {C.SNAPSHOT_ID: windows.snapshot_id, C.MODEL_ID: model_id}
    rows = lake.rows(settings, MODEL_EVALUATIONS, of_model)
    return [
        tuple(row[name] for name in MODEL_EVALUATIONS.names) for row in rows if row[C.SEGMENT].startswith(GAIN_OVER)
    ]


def decide(settings: Settings, won: Estimate, folder: Path, rival: str) -> bool:
    """Promotes the challenger in ``folder`` if it has won over the rival; says whether it is the champion now."""
    log.info(
        "%s: challenger over %s, paired gain %+.4f (95%% interval %+.4f … %+.4f, %d users)",
        GATE, rival, won.mean, won.low, won.high, won.users,
    )  # fmt: skip
    log.info("Its fine-tuning took %s.", Cost.of_model(folder) or "nobody wrote down what")
    challenger = folder.name
    if won.mean > 0:
        is_champion = registry.promote(registry.client(settings), challenger)
        of_the_past = "is the model of the nights of its time; the champion, made from later events, stays"
        log.info("Model %s %s.", challenger, "is the champion now" if is_champion else of_the_past)
        return is_champion
    log.info("The champion stays: model %s did not beat %s.", challenger, rival)
    return False


if __name__ == "__main__":
    # MLflow takes seconds to import, in which Java starts
    main("evaluate", __doc__, Arguments, run, meanwhile=registry.client)
