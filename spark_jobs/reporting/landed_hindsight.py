"""Target events of days that have landed but not been ingested, cleaned by the rules of clean_events."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.interval import Interval, midnight
from contracts.settings import Settings
from spark_jobs.ingest.events import clean_landed
from spark_jobs.ingest.exports import counted
from spark_jobs.ingest.landing import land


def landed_targets(spark: SparkSession, settings: Settings, days: Interval, users: pa.Array) -> pa.Table:
    """User, item and time of these users' target events of ``days``, as the logs brought them that have landed."""
    # between days that have landed others may be missing; the shop may have been closed on some
    landing = counted(spark, settings, days, land(settings, days, allow_empty=True), allow_empty=True)
    events = clean_landed(spark, settings, days, landing)
    time, zone = F.col(C.EVENT_TIME), settings.shop.zone
    in_window = (time >= F.lit(midnight(days.start, zone))) & (time < F.lit(midnight(days.end, zone)))
    is_target = settings.ingest.target_events.are(F.col, Column.isNull)
    theirs = F.broadcast(spark.createDataFrame(pa.table({C.USER_ID: users})))
    targets = events.where(in_window & is_target).join(theirs, C.USER_ID, "left_semi")
    return targets.select(C.USER_ID, C.ITEM_ID, C.EVENT_TIME).toArrow()
