"""Scores every user on the executors and writes the night's top N to its staging table.

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
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.catalogue import Edition
from contracts.cli import Night, OneModel, log
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.settings import Settings
from contracts.tables import EVENTS, RECOMMENDATIONS, staging
from models.store import registry
from spark_jobs.cluster.shipping import ship
from spark_jobs.cluster.step import main
from spark_jobs.scoring.histories import daily_counts, histories, with_fallback
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.score import in_fixed_batches, score


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night that is scored, and with which model."""


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> None:
    """Scores everyone as of the night's end into its staging table.

    Raises:
        ModelError: there is no such model, it is damaged, or an item has no vector of it.
        RegistryError: no model was named, and the registry could not be asked.
    """
    begun = time.monotonic()
    interval = arguments.interval
    model_folder = registry.chosen_folder(settings, arguments.model, interval.end)
    events = lake.read(spark, settings, EVENTS)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        package = Path(scratch) / f"scoring-{model_folder.name}-{interval.ds}"
        counts = daily_counts(events, interval.end, settings).toArrow()
        model_id = pack(settings, model_folder, counts, Edition(interval.ds), package)
        users = in_fixed_batches(
            with_fallback(histories(events, interval.end, settings)),
            settings.scoring,
            settings.spark.shuffle_partitions,
        )
        lists = score(users, ship(spark, package), settings.scoring, interval.end_seconds)
        log.info("Scoring everyone as of %s with model %s …", interval.end, model_id)
        rows = lists.select(
            F.lit(interval.ds).cast("date").alias(C.DS),
            C.USER_ID,
            C.ITEMS,
            F.lit(model_id).alias(C.MODEL_ID),
            F.lit(arguments.run_id).alias(C.RUN_ID),
        )
        note = {"run_id": arguments.run_id}
        lake.replace(rows.select(*RECOMMENDATIONS.names), settings, staging(RECOMMENDATIONS, interval.ds), None, note)
    count = lake.count(settings, staging(RECOMMENDATIONS, interval.ds), is_own(pads.field))
    log.info("Scored %s users with model %s in %.1f s.", f"{count:,}", model_id, time.monotonic() - begun)


if __name__ == "__main__":
    main("score_users", __doc__, Arguments, run)
