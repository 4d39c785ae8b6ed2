"""Target events of days that have landed but not been ingested, cleaned by the rules of clean_events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.interval import Interval, midnight
from contracts.settings import Settings
from spark_jobs.ingest.events import clean_landed
from spark_jobs.ingest.landing import Landing, land


def landed_targets(spark: SparkSession, settings: Settings, days: Interval, landed: Sequence[date]) -> pa.Table:
    """User, item and time of the target events of ``days`` that the logs of the ``landed`` ones among them brought."""
    events = clean_landed(spark, settings, days, _landing(settings, landed))
    time, zone = F.col(C.EVENT_TIME), settings.shop.zone
    in_window = (time >= F.lit(midnight(days.start, zone))) & (time < F.lit(midnight(days.end, zone)))
    is_target = F.col(C.BEHAVIOUR).isin(*settings.ingest.targets)
    return events.where(in_window & is_target).select(C.USER_ID, C.ITEM_ID, C.EVENT_TIME).toArrow()


def _landing(settings: Settings, landed: Sequence[date]) -> Landing:
    """What has landed on these days, between which others may be missing; the shop may have been closed on some."""
    by_day = [land(settings, Interval.of_night(day), allow_empty=True) for day in landed]
    events = {day: files for each in by_day for day, files in each.events.items()}
    return Landing(events, by_day[-1].catalogue)
