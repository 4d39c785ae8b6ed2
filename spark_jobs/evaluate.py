"""Compares the challenger with the champion and the baselines on the test window, and promotes it if it wins.

    python -m spark_jobs.evaluate --as-of 2017-12-23
    python -m spark_jobs.evaluate --as-of 2017-12-23 --model 2017-12-23-0a1b2c3d

The challenger is the model that is named, in Airflow the one that the same run trained; without a name the one with
the alias `challenger`. It has to be made from the snapshot as of that day. Events and items are read in the versions
that the snapshot was made from: what a night writes meanwhile changes nothing.

Everyone ranks the whole catalogue as of the test window's start, on the executors. `models.gate` decides by the bounds
of `[gate]` whether the alias `champion` moves; its reasons are in `model_decisions`, in the report and in the
registry. A challenger that does not win is no failure. As of a day of the past, the rival is the champion of that
time, and the winner is for the nights of that time: the alias does not go back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from contracts.errors import InputError, ModelError
from contracts.model_ids import judged, knows_later
from contracts.settings import Settings
from contracts.tables import EVENTS, GAIN_OVER, ITEMS, MODEL_DECISIONS, MODEL_EVALUATIONS, SEQUENCE, SEQUENCES
from contracts.windows import TEST, Windows
from models import artifact, gate
from models.baselines import chosen
from models.baselines.als import Als
from models.baselines.popular import Popular
from models.behaviours import Known
from models.catalogue import Catalogue, histories_from_arrow
from models.cost import Cost
from models.evaluation import ALL, GATE, TextAlone, Yardstick
from models.item_state import DailyCounts
from models.metrics import Estimate
from models.published import PublishedModel
from models.store import registry
from models.store.challenger import challenger_folder
from models.store.snapshot import pins, read_catalogue, windows_of
from models.text_vectors import TextVectors
from models.user_encoder import NO_ID
from spark_jobs.cluster.step import main
from spark_jobs.scoring.als import factors_of
from spark_jobs.scoring.embedding import embed_here, embed_on_executors, stale_items
from spark_jobs.scoring.histories import ITEM_DAY, ITEM_EVENTS, ITEM_STRENGTH, daily_counts
from spark_jobs.scoring.trial import Contest, Outcome, compare

NO_MODEL = "There is no champion to keep, and a night without a model publishes nothing"


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
    if champion and knows_later(champion, windows.end - timedelta(days=windows.window_days)):
        champion = judged(champion)  # a refitted one has learnt from this test window
    if champion and not can_score(settings.models / champion):
        champion = None
    catalogue = read_catalogue(settings, edition)
    model = PublishedModel.load(challenger)
    split = split_rows(spark, settings, windows).persist()
    try:
        counts = counts_before(spark, settings, windows, events_at)
        sample = fitted_on(split, settings, catalogue, model, windows.test_start)
        known = sample.only(catalogue.available)
        with timed("Fitting the baselines"):
            made = [*chosen.of_a_night(settings), Als(settings.baselines, factors_of(spark, settings.lake))]
            rivals = [each.fit(known, len(catalogue)) for each in made]
        contest = Contest(
            rivals,
            texts_alone(challenger, model, catalogue),
            yardstick(split, catalogue, counts),
            {model.behaviours.names.index(name): days for name, days in settings.scoring.exclude_seen_days.items()},
            challenger.name,
            windows.test_start,
        )
        folders = [challenger, *([settings.models / champion] if champion not in (None, challenger.name) else [])]
        for folder in folders:
            embed_stale(spark, settings, folder, edition)
        with timed("Scoring the users of the test window"):
            outcome = compare(spark, settings, split, folders, counts, edition, contest)
    finally:
        split.unpersist()
    told(outcome)

    popular = Popular(settings.baselines).name
    is_champion = champion == challenger.name
    rows = rows_of(windows.snapshot_id, outcome.values)
    rival = champion or popular
    # what it had gained as a challenger stays: as the champion it has no rival
    rows += gains_before(settings, windows, without=None if is_champion else challenger.name)
    if not is_champion:
        won = outcome.gains[rival][ALL]
        rows += rows_of(windows.snapshot_id, {challenger.name: {(f"{GAIN_OVER}{rival}", GATE): won}})
    lake.replace_small(settings, MODEL_EVALUATIONS, rows, f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}'")
    if is_champion:
        log.info("Model %s is the champion already.", challenger.name)
        return True
    own, of_champion = (all_users(outcome, name) for name in (challenger.name, champion))
    decision = gate.decide(outcome.gains, own or {}, of_champion, champion, popular, settings.gate)
    return carry_out(settings, windows, decision, challenger, champion)


def can_score(folder: Path) -> bool:
    """Whether this version of the code can score with a champion; one of an earlier version must not block the next."""
    try:
        artifact.verify(folder)
        PublishedModel.load(folder)
    except ModelError as error:
        log.warning("The champion cannot be compared with, and is no rival: %s", error)
        return False
    return True


def all_users(outcome: Outcome, name: str | None) -> dict[str, float] | None:
    """The metrics of all users of one recommender; None where there is none."""
    if name is None:
        return None
    return {metric: each.mean for (segment, metric), each in outcome.values[name].items() if segment == ALL}


def told(outcome: Outcome) -> None:
    """A line for each recommender in the log, the best one first."""
    if not outcome.values:
        raise InputError(
            "Nobody can be judged: no user with a history took an item in the test window that is in the catalogue and "
            "may be recommended. Ingest more days, or set splits.window_days."
        )
    users = next(iter(outcome.values.values()))[ALL, GATE].users
    log.info("Compared on %d users with a target event in the test window.", users)
    for name, of_one in sorted(outcome.values.items(), key=lambda pair: -pair[1][ALL, GATE].mean):
        log.info("%-40s NDCG@10 %.4f  recall@10 %.4f", name, of_one[ALL, GATE].mean, of_one[ALL, "recall@10"].mean)


def fitted_on(split: DataFrame, settings: Settings, catalogue: Catalogue, model: PublishedModel, now: int) -> Known:
    """What is known of the users on whom baselines are fitted: of all, or of a sample by the hash of their ids."""
    users = split.count()
    if users > settings.gate.fit_users:
        log.info("Baselines are fitted on about %d of %d users ([gate] fit_users).", settings.gate.fit_users, users)
        part = F.pmod(F.xxhash64(C.USER_ID), F.lit(1_000_000))
        split = split.where(part < int(1_000_000 * settings.gate.fit_users / users))
    rows = split.drop(C.TARGETS).toArrow().sort_by(C.USER_ID)
    return Known.of(histories_from_arrow(rows, catalogue, model.behaviours.names), model.behaviours, now)


def yardstick(split: DataFrame, catalogue: Catalogue, counts: pa.Table) -> Yardstick:
    """By what segments are drawn."""
    judged = split.where((F.size(C.ITEM_IDS) > 0) & (F.size(C.TARGETS) > 0))
    median = judged.agg(F.percentile(F.size(C.ITEM_IDS), F.lit(0.5))).collect()[0][0]
    item = catalogue.positions(counts[C.ITEM_ID].to_numpy())
    there = item >= 0
    daily = DailyCounts(
        item[there], *(counts[name].to_numpy()[there] for name in (ITEM_DAY, ITEM_EVENTS, ITEM_STRENGTH))
    )
    # of everyone, also where baselines are fitted on a sample
    had = split.select(F.explode(F.array_distinct(C.ITEM_IDS)).alias(C.ITEM_ID))
    holders = had.groupBy(C.ITEM_ID).agg(F.count("*").alias("users")).toArrow()
    position = catalogue.positions(holders[C.ITEM_ID].to_numpy())
    users = np.zeros(len(catalogue), dtype=np.float32)
    users[position[position >= 0]] = holders["users"].to_numpy()[position >= 0]
    return Yardstick.of(catalogue, daily, users, float(median or 0))


def texts_alone(challenger: Path, model: PublishedModel, catalogue: Catalogue) -> list[TextAlone]:
    """What the challenger's texts recommend alone, before and after tuning."""
    known = TextVectors.load(challenger)
    rows = known.rows(list(catalogue.texts))
    takes_part = (rows >= 0) & (model.items.on(catalogue).id_rows != NO_ID) & catalogue.available
    named = (("before", known.before), ("after", known.after))
    return [TextAlone.of(f"text_{name}_tuning/{challenger.name}", each[rows], takes_part) for name, each in named]


def counts_before(spark: SparkSession, settings: Settings, windows: Windows, events_at: int) -> pa.Table:
    """Daily counts of the items before the test window."""
    test_day = windows.end - timedelta(days=windows.window_days)
    return daily_counts(lake.read(spark, settings, EVENTS, events_at), test_day, settings).toArrow()


def split_rows(spark: SparkSession, settings: Settings, windows: Windows) -> DataFrame:
    """The test split: histories as scoring reads them, and targets."""
    sequences = lake.read(spark, settings, SEQUENCES).where(F.col(C.SNAPSHOT_ID) == windows.snapshot_id)
    return sequences.where(F.col(C.SPLIT) == TEST).select(C.USER_ID, *SEQUENCE, C.TARGETS)


def embed_stale(spark: SparkSession, settings: Settings, folder: Path, edition: Edition) -> None:
    """Gives every item its vector of the model in ``folder``."""
    stale = stale_items(settings, folder.name, edition)
    if stale.num_rows and not embed_here(settings, folder, stale):
        embed_on_executors(spark, settings, folder, stale)


def rows_of(snapshot_id: str, results: Mapping[str, Mapping[tuple[str, str], Estimate]]) -> list[tuple[object, ...]]:
    """Rows of `model_evaluations`; an interval that does not exist is null."""
    return [
        (name, snapshot_id, segment, metric, float(each.mean), number(each.low), number(each.high), each.users)
        for name, of_one in results.items()
        for (segment, metric), each in of_one.items()
        if not np.isnan(each.mean)
    ]


def gains_before(settings: Settings, windows: Windows, without: str | None) -> list[tuple[object, ...]]:
    """The rows of what challengers had gained when they were judged on this snapshot, but for one that is anew."""
    if not lake.exists(settings, MODEL_EVALUATIONS):
        return []
    rows = lake.rows(settings, MODEL_EVALUATIONS, {C.SNAPSHOT_ID: windows.snapshot_id})
    return [
        tuple(row[name] for name in MODEL_EVALUATIONS.names)
        for row in rows
        if row[C.SEGMENT].startswith(GAIN_OVER) and row[C.MODEL_ID] != without
    ]


def number(value: float) -> float | None:
    """A finite number for a table; null where there is none."""
    return float(value) if np.isfinite(value) else None


def carry_out(
    settings: Settings, windows: Windows, decision: gate.Decision, folder: Path, champion: str | None
) -> bool:
    """Writes the decision down and promotes the challenger in ``folder`` if it won; says whether it is champion now."""
    challenger = folder.name
    outcome = gate.PROMOTED if decision.promoted else gate.KEPT_OUT
    for line in gate.in_words(decision):
        log.info("Gate %s", line)
    log.info("Its fine-tuning took %s.", Cost.of_model(folder) or "nobody wrote down what")
    rows: Iterable[tuple[object, ...]] = [
        (
            windows.snapshot_id, challenger, each.rival, each.segment, each.metric, number(each.value),
            number(each.low), number(each.high), each.bound, each.passed, each.critical, each.text,
        )
        for each in decision.checks
    ]  # fmt: skip
    summary = (
        windows.snapshot_id, challenger, "", ALL, GATE, None, None, None, None, decision.promoted, True,
        f"{outcome}: {decision.why}",
    )  # fmt: skip
    where = f"{C.SNAPSHOT_ID} = '{windows.snapshot_id}' AND {C.MODEL_ID} = '{challenger}'"
    lake.replace_small(settings, MODEL_DECISIONS, [*rows, summary], where)
    mlflow = registry.client(settings)
    registry.tag_gate(mlflow, challenger, f"{outcome}: {decision.why}")
    if not decision.promoted:
        so = f"The champion stays ({champion})" if champion else NO_MODEL
        log.warning("%s: model %s was kept out by the gate: %s.", so, challenger, decision.why)
        return False
    if champion is None:
        log.warning("Model %s is promoted: %s.", challenger, decision.why)
    is_champion = registry.promote(mlflow, challenger)
    of_the_past = "is the model of the nights of its time; the champion, made from later events, stays"
    log.info("Model %s %s.", challenger, "is the champion now" if is_champion else of_the_past)
    return is_champion


if __name__ == "__main__":
    # MLflow takes seconds to import, in which Java starts
    main("evaluate", __doc__, Arguments, run, meanwhile=registry.client)
