"""The comparison on the executors: lists of models and baselines for the users of a test window, and what they hit.

Nothing of all users comes to the driver: batches of users give sums, and Spark adds them up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Scoring, Settings
from models.baselines.base import Baseline
from models.behaviours import Known
from models.catalogue import lists_from_arrow
from models.evaluation import ALL, GATE, N, TextAlone, Yardstick, by_name, gains, measured, segments
from models.excluded import Excluded
from models.histories import Ints
from models.metrics import Z95, Estimate, Relevant
from spark_jobs.cluster.shipping import Shipment, ship
from spark_jobs.scoring.histories import nothing_excluded
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.score import in_fixed_batches
from spark_jobs.scoring.worker import HISTORIES, Worker

TOP = 10
"""Places of a list that count for coverage."""
SUMS = "recommender string, key string, users bigint, total double, squares double, items array<int>"
"""What a batch of users gives: of each metric how many users it has, its sum and sum of squares, and items shown."""
SHOWN = "shown"
"""Key of the rows that have the items."""


@dataclass(frozen=True)
class Contest:
    """Who takes part besides the models, and by what they are judged; sent to each worker once."""

    baselines: Sequence[Baseline]
    texts: Sequence[TextAlone]
    yardstick: Yardstick
    exclude_seen_days: Mapping[int, int]
    challenger: str
    now: int  # start of the test window, seconds


@dataclass(frozen=True)
class Outcome:
    """What all users together gave."""

    values: Mapping[str, Mapping[tuple[str, str], Estimate]]  # recommender -> (segment, metric)
    gains: Mapping[str, Mapping[str, Estimate]]  # of the challenger: rival -> segment, in NDCG@10


def compare(
    spark: SparkSession,
    settings: Settings,
    split: DataFrame,
    folders: Sequence[Path],
    counts: pa.Table,
    edition: Edition,
    contest: Contest,
) -> Outcome:
    """Lists of each model in ``folders``, by the code of the night, and of the others, for rows of `sequences`.

    ``edition`` is the catalogue. Of the rules, availability and `scoring.exclude_seen_days` hold, for all alike; those
    that a shop sets by hand (blocked items, a category's share, explore) are off: they cost hits on purpose.
    """
    scoring = Scoring(n=N, users_per_batch=settings.scoring.users_per_batch)
    judged = split.where((F.size(C.ITEM_IDS) > 0) & (F.size(C.TARGETS) > 0)).select("*", nothing_excluded())
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        shipments = {}
        for folder in folders:
            package = Path(scratch) / f"trial-{folder.name}"
            pack(settings, folder, counts, edition, package)
            shipments[folder.name] = ship(spark, package)
        sent = spark.sparkContext.broadcast(contest)
        now = contest.now

        def sums(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            def opened(shipment: Shipment) -> Worker:
                return shipment.open(lambda folder: Worker.open(folder, scoring, now))

            workers = {name: opened(shipment) for name, shipment in shipments.items()}
            return (sums_of(frame, workers, sent.value) for frame in frames)

        users = in_fixed_batches(judged, scoring, settings.spark.shuffle_partitions)
        rows = users.mapInPandas(sums, SUMS).persist()
        try:
            by_key = rows.groupBy("recommender", "key").agg(
                *(F.sum(name).alias(name) for name in ("users", "total", "squares"))
            )
            found = {
                (row["recommender"], row["key"]): estimate_of(row["users"], row["total"], row["squares"])
                for row in by_key.where(F.col("key") != SHOWN).collect()
            }
            shown = rows.where(F.col("key") == SHOWN).select("recommender", F.explode(C.ITEMS).alias(C.ITEM_ID))
            distinct = {
                row["recommender"]: row["items"]
                for row in shown.groupBy("recommender").agg(F.countDistinct(C.ITEM_ID).alias("items")).collect()
            }
        finally:
            rows.unpersist()
            sent.destroy()
    return _outcome(found, distinct, len(contest.yardstick.events))


def sums_of(frame: pd.DataFrame, workers: Mapping[str, Worker], contest: Contest) -> pd.DataFrame:
    """Rows of `SUMS` of one batch of users."""
    challenger = workers[contest.challenger]
    catalogue = challenger.catalogue
    schema = HISTORIES.append(pa.field(C.TARGETS, pa.list_(pa.string())))
    rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    done = challenger.histories(rows)
    known = Known.of(done, challenger.model.behaviours, contest.now)
    # of all that they did, also what says nothing good of its item
    excluded = Excluded.seen(done.before(contest.now), contest.exclude_seen_days, contest.now)
    relevant = excluded.out_of(Relevant(*lists_from_arrow(rows[C.TARGETS], catalogue)), len(catalogue))
    # what cannot be sold is nobody's hit, nor shown by a baseline
    relevant = relevant.select(catalogue.available[relevant.items])
    sellable = known.only(catalogue.available)
    lists = {name: worker.top(worker.known(rows), excluded).items for name, worker in workers.items()}
    lists |= {each.name: each.recommend(sellable, N, excluded) for each in contest.baselines}
    lists |= {each.name: each.lists(sellable, excluded) for each in contest.texts}
    parts = segments(known, relevant, contest.yardstick)
    values = {name: measured(made, known, parts, contest.yardstick) for name, made in lists.items()}
    made = [row for name in lists for row in _sums(name, by_name(values[name]))]
    for rival in lists:
        if rival != contest.challenger:
            over = gains(values[contest.challenger], values[rival])
            made += _sums(rival, {f"gain|{segment}": of_users for segment, of_users in over.items()})
    made += [(name, SHOWN, 0, 0.0, 0.0, _distinct(items, relevant.counts)) for name, items in lists.items()]
    return pd.DataFrame(made, columns=["recommender", "key", "users", "total", "squares", "items"])


def _sums(recommender: str, values: Mapping[str, np.ndarray]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for key, of_users in values.items():
        real = of_users[~np.isnan(of_users)]
        rows.append((recommender, key, len(real), float(real.sum()), float((real**2).sum()), None))
    return rows


def _distinct(lists: Ints, relevant: np.ndarray) -> list[int]:
    """The items shown to users who are judged."""
    top = lists[relevant > 0, :TOP]
    shown: list[int] = np.unique(top[top >= 0]).tolist()
    return shown


def estimate_of(users: int, total: float, squares: float) -> Estimate:
    """`models.metrics.estimate` from sums over users."""
    if not users:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = total / users
    if users == 1:
        return Estimate(mean, float("-inf"), float("inf"), 1)
    variance = max(squares - users * mean**2, 0.0) / (users - 1)
    half = Z95 * (variance / users) ** 0.5
    return Estimate(mean, mean - half, mean + half, users)


def _outcome(found: Mapping[tuple[str, str], Estimate], distinct: Mapping[str, int], items: int) -> Outcome:
    values: dict[str, dict[tuple[str, str], Estimate]] = {}
    over: dict[str, dict[str, Estimate]] = {}
    for (recommender, key), estimate in sorted(found.items()):
        segment, metric = key.split("|")
        if segment == "gain":
            over.setdefault(recommender, {})[metric] = estimate
        else:
            values.setdefault(recommender, {})[segment, metric] = estimate
    nan = float("nan")
    for recommender, count in distinct.items():
        users = values[recommender][ALL, GATE].users
        values[recommender][ALL, f"coverage@{TOP}"] = Estimate(count / items, nan, nan, users)
    return Outcome(values, over)
