"""Scores every user on the executors and writes the night's top N to its staging table.

With `[scoring] idle_days` the lists of users of whom nothing came are carried over from the last night, but for those
whose turn it is (`spark_jobs.scoring.carried`). With `search = "approximate"` the items closest to a user are looked
for in lists of like ones (`spark_jobs.scoring.search`).

Beside the users stands one row for whoever has none (`contracts.fallback`): the list of a user who did nothing, made by
the same code under the same rules.

    python -m spark_jobs.score_users --ds 2017-12-23 --run-id by-hand
    python -m spark_jobs.score_users --ds 2017-12-23 --model 2017-12-23-0a1b2c3d

Only what was known when the night ended counts. Without a name the model is the one that the night uses: the champion,
or of a night of the past that of its time.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as pads
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.catalogue import Edition
from contracts.cli import Night, OneModel, log
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.interval import Interval
from contracts.night_steps import Counts
from contracts.settings import Settings
from contracts.tables import EVENTS, RECOMMENDATIONS, staging
from models.store import registry
from spark_jobs.cluster.shipping import ship
from spark_jobs.cluster.step import main
from spark_jobs.scoring.carried import carried
from spark_jobs.scoring.histories import daily_counts, histories, with_fallback
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.score import in_fixed_batches, score
from spark_jobs.scoring.search import Comparison, add_lists


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night that is scored, and with which model."""


@dataclass(frozen=True)
class Lists:
    """Everyone's lists of a night, which Spark makes when they are written."""

    rows: DataFrame  # user_id, items, scored_ds
    model_id: str
    comparison: Comparison | None


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> Counts:
    """Scores everyone as of the night's end into its staging table.

    Raises:
        ModelError: there is no such model, it is damaged, or an item has no vector of it.
        RegistryError: no model was named, and the registry could not be asked.
        SettingsError: approximate search is set, and faiss is not installed.
    """
    begun = time.monotonic()
    interval, table = arguments.interval, staging(RECOMMENDATIONS, arguments.ds)
    model_folder = registry.chosen_folder(settings, arguments.model, interval.end)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        made = lists(spark, settings, interval, model_folder, Path(scratch))
        rows = made.rows.withColumns(
            {C.DS: F.lit(interval.ds), C.MODEL_ID: F.lit(made.model_id), C.RUN_ID: F.lit(arguments.run_id)}
        )
        lake.replace(rows, settings, table, None, {"run_id": arguments.run_id})
    own = is_own(pads.field)
    scored = lake.count(settings, table, own & (pads.field(C.SCORED_DS) == interval.ds))
    over = lake.count(settings, table, own) - scored
    told = f", and carried the lists of {over:,} idle ones over" if over else ""
    log.info(
        "Scored %s users with model %s%s, in %.1f s.", f"{scored:,}", made.model_id, told, time.monotonic() - begun
    )
    found = made.comparison.told() if made.comparison else {}
    return {"users scored": scored, "users carried": over, **found}


def lists(spark: SparkSession, settings: Settings, interval: Interval, model_folder: Path, scratch: Path) -> Lists:
    """Scores everyone as of the night's end, but for those whose lists are carried over.

    What the workers need is written into the folder ``scratch``, which has to stay until the lists are there.
    """
    events = lake.read(spark, settings, EVENTS)
    package = scratch / f"scoring-{model_folder.name}-{interval.ds}"
    counts = daily_counts(events, interval.end, settings).toArrow()
    model_id = pack(settings, model_folder, counts, Edition(interval.ds), package)
    add_lists(package, settings.scoring)
    comparison = Comparison.of(spark, settings.scoring, events)
    kept = carried(spark, settings, events, interval, model_id)
    due = events if kept is None else events.join(kept.persist().select(C.USER_ID), C.USER_ID, "left_anti")
    users = in_fixed_batches(
        with_fallback(histories(due, interval.end, settings)), settings.scoring, settings.spark.shuffle_partitions
    )
    log.info("Scoring users as of %s with model %s …", interval.end, model_id)
    scored = score(users, ship(spark, package), settings.scoring, interval.end_seconds, comparison)
    rows = scored.withColumn(C.SCORED_DS, F.lit(interval.ds))
    return Lists(rows if kept is None else rows.unionByName(kept), model_id, comparison)


if __name__ == "__main__":
    main("score_users", __doc__, Arguments, run)
