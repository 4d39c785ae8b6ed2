"""Scores every user on the executors and writes the night's top N to its staging table.

    python -m spark_jobs.score_users --start 2017-12-23 --end 2017-12-24 --run-id by-hand

Only events before the interval's end are read. A user-by-item frame never exists: a worker holds the items once
and gives each batch of users its lists.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from safetensors.numpy import save_file

from models import artifact, registry
from models.catalogue import Catalogue
from models.histories import DAY
from models.text_vectors import FILE as TEXT_VECTORS
from spark_jobs import storage
from spark_jobs.contracts.cli import add_model, entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import ModelError
from spark_jobs.contracts.interval import midnight_seconds
from spark_jobs.contracts.settings import Scoring, Settings
from spark_jobs.contracts.tables import EVENTS, ITEM_VECTORS, ITEMS, RANKED_ITEM, RECOMMENDATIONS, staging
from spark_jobs.session import session
from spark_jobs.shipping import Shipment, ship

CATALOGUE, DAYS, VECTORS = "catalogue.arrow", "days.safetensors", "vectors.safetensors"
POPULAR_DAYS = 92
"""Days of counts that the popularity features reach back."""

LISTS = f"{C.USER_ID} string, {C.ITEMS} array<{RANKED_ITEM}>"
"""What scoring gives."""


def histories(events: DataFrame, end: date, max_history: int) -> DataFrame:
    """One row a user: item_ids, behaviours and times of the newest events before ``end``, oldest first."""
    newest = Window.partitionBy(C.USER_ID).orderBy(F.desc(C.EVENT_TIME), C.ITEM_ID, C.BEHAVIOUR, C.EVENT_ID)
    event = F.struct(
        F.unix_seconds(C.EVENT_TIME).alias("time"), F.col(C.ITEM_ID).alias("item"), F.col(C.BEHAVIOUR).alias("kind")
    )
    return (
        events.where((F.col(C.DS) < F.lit(end)) & (F.unix_seconds(C.EVENT_TIME) < midnight_seconds(end)))
        .withColumn("_place", F.row_number().over(newest))
        .where(F.col("_place") <= max_history)
        .groupBy(C.USER_ID)
        .agg(F.sort_array(F.collect_list(event)).alias("events"))
        .select(
            C.USER_ID,
            F.col("events.item").alias(C.ITEM_IDS),
            F.col("events.kind").alias(C.BEHAVIOURS),
            F.col("events.time").alias(C.TIMES),
        )
    )


def daily_counts(events: DataFrame, end: date, targets: Sequence[str]) -> DataFrame:
    """Events of target behaviours by item and day, of the days that popularity reads: item_id, day, purchases."""
    day = F.floor(F.unix_seconds(C.EVENT_TIME) / DAY).cast("int")
    newest = midnight_seconds(end) // DAY
    return (
        events.where((F.col(C.DS) < F.lit(end)) & F.col(C.BEHAVIOUR).isin(*targets))
        .withColumn("day", day)
        .where((F.col("day") < newest) & (F.col("day") >= newest - POPULAR_DAYS))
        .groupBy(C.ITEM_ID, "day")
        .agg(F.count("*").cast("int").alias("purchases"))
    )


def pack(settings: Settings, model_folder: Path, counts: pa.Table, into: Path) -> str:
    """Fills a folder with all that a worker needs: model, catalogue, vectors, counts. Gives the model's id.

    Raises:
        ModelError: some item has no vector of the model.
    """
    model_id = str(artifact.verify(model_folder)["model_id"])
    into.mkdir(parents=True)
    for file in sorted(model_folder.iterdir()):
        if file.is_file() and file.name not in (artifact.MANIFEST, TEXT_VECTORS):
            shutil.copyfile(file, into / file.name)
    items = storage.arrow(settings, ITEMS).sort_by(C.ITEM_ID)
    with pa.OSFile(str(into / CATALOGUE), "wb") as sink, pa.ipc.new_file(sink, items.schema) as writer:
        writer.write_table(items)
    catalogue = Catalogue.from_arrow(items)
    stored = (
        storage.arrow(settings, ITEM_VECTORS, [C.ITEM_ID, C.VECTOR], {C.MODEL_ID: model_id})
        if storage.exists(settings, ITEM_VECTORS)
        else pa.table({C.ITEM_ID: [], C.VECTOR: pa.array([], pa.list_(pa.float32()))})
    )
    place = catalogue.positions(stored[C.ITEM_ID].to_numpy())
    missing = len(catalogue) - len(np.unique(place[place >= 0]))
    if missing:
        raise ModelError(
            f"Table {storage.path(settings, ITEM_VECTORS)} lacks {missing:,} of {len(catalogue):,} items for model "
            f"{model_id}: run spark_jobs.embed_items first."
        )
    flat = stored[C.VECTOR].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.zeros((len(catalogue), flat.size // stored.num_rows), dtype=np.float32)
    vectors[place[place >= 0]] = flat.reshape(stored.num_rows, -1)[place >= 0]
    save_file({"vectors": vectors}, into / VECTORS)
    counted = catalogue.positions(counts[C.ITEM_ID].to_numpy())
    order = np.lexsort((counts["day"].to_numpy(), counted))
    save_file(
        {
            "items": counted[order],
            "days": counts["day"].to_numpy().astype(np.int32)[order],
            "purchases": counts["purchases"].to_numpy().astype(np.int32)[order],
        },
        into / DAYS,
    )
    return model_id


def score(users: DataFrame, shipment: Shipment, scoring: Scoring, targets: Sequence[str], now: int) -> DataFrame:
    """Lists (user_id, items) of rows of `histories`, as of ``now`` (seconds), on the executors."""

    def lists(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        # torch takes seconds to import: only the executors do
        from spark_jobs.scoring_worker import lists_of, unpack

        loaded = shipment.open(lambda folder: unpack(folder, scoring, targets, now))
        return (lists_of(frame, loaded, now) for frame in frames)

    return users.mapInPandas(lists, LISTS)


def in_fixed_batches(users: DataFrame, scoring: Scoring, slices: int) -> DataFrame:
    """The same users in the same batches on any cluster: rounding then cannot differ from run to run."""
    users.sparkSession.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(scoring.users_per_batch))
    return users.repartition(slices, C.USER_ID).sortWithinPartitions(C.USER_ID)


def run(spark: SparkSession, settings: Settings, end: date, ds: date, run_id: str, model_folder: Path) -> int:
    """Scores everyone as of ``end`` into the staging table of ``ds``; gives the number of users."""
    events = storage.read(spark, settings, EVENTS)
    counts = daily_counts(events, end, settings.ingest.targets).toArrow()
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        folder = Path(scratch) / f"scoring-{model_folder.name}-{ds}"
        model_id = pack(settings, model_folder, counts, folder)
        shipment = ship(spark, folder)
        users = in_fixed_batches(
            histories(events, end, settings.splits.max_history), settings.scoring, settings.spark.shuffle_partitions
        )
        lists = score(users, shipment, settings.scoring, settings.ingest.targets, midnight_seconds(end))
        log.info("Scoring everyone as of %s with model %s …", end, model_id)
        rows = lists.select(
            F.lit(ds).cast("date").alias(C.DS),
            C.USER_ID,
            C.ITEMS,
            F.lit(model_id).alias(C.MODEL_ID),
            F.lit(run_id).alias(C.RUN_ID),
        )
        storage.replace(rows.select(*RECOMMENDATIONS.names), settings, staging(str(ds)), None, {"run_id": run_id})
    return storage.open_table(settings, staging(str(ds))).count()


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parsed = add_model(parser(__doc__)).parse_args(argv)
    arguments = run_of(parsed)
    folder = registry.chosen_folder(settings, parsed.model)
    begun = time.monotonic()
    with session("score_users", settings) as spark:
        users = run(spark, settings, arguments.interval.end, arguments.interval.ds, arguments.run_id, folder)
    log.info("Scored %s users with model %s in %.1f s.", f"{users:,}", folder.name, time.monotonic() - begun)


if __name__ == "__main__":
    entry(main)
