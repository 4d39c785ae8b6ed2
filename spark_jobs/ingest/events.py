"""The rules for events: every record is an event, quarantined with its first reason, or a counted duplicate."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Ingest, Settings
from contracts.tables import EVENTS, ITEMS
from spark_jobs.ingest.landing import EVENT_COLUMNS, Landing
from spark_jobs.ingest.records import BROKEN, finite, read_records, text_or_null

REASONS = (
    "unparseable_record",
    "missing_user_id",
    "missing_item_id",
    "unparseable_time",
    "outside_interval",
    "unknown_behaviour",
    "non_positive_quantity",
    "unknown_item",
    "bot_like_rate",
)
"""Why a record is not an event, in the order in which they are tried: a record has the first that applies."""

NEEDS_QUANTITY = "purchase"
"""The behaviour that is nothing without a quantity; with any other one it may be missing."""

CLEAN, REJECTED, DUPLICATE = "clean", "rejected", "duplicate"
FATE = "fate"
"""Column that says which of these a record is."""
_OWNER, _HOUR, _REPEATED, _KNOWN, _EARLIER = "_owner", "_hour", "_repeated", "_known", "_earlier"
_BAD_QUANTITY = "_bad_quantity"


def classified(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """Every record of the landed logs of ``interval``: columns of `events` and `events_rejected`, and its fate."""
    return (
        read_records(spark, landing.event_files, EVENT_COLUMNS, settings.landing)
        .transform(with_event)
        .transform(with_row_reason, settings.ingest, lake.read(spark, settings, ITEMS))
        .transform(with_fate, settings.ingest, earlier_events(spark, settings, interval))
    )


def clean_landed(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """Rows of `events` that the landed logs of ``interval`` give; nothing is written."""
    return classified(spark, settings, interval, landing).where(F.col(FATE) == CLEAN).select(*EVENTS.names)


def earlier_events(spark: SparkSession, settings: Settings, interval: Interval) -> DataFrame:
    """Ids of events that logs just before the interval brought: a late log may repeat them."""
    since = interval.start - timedelta(days=settings.ingest.late_days)
    return (
        lake.read_or_empty(spark, settings, EVENTS)
        .where(F.col(C.DS).between(F.lit(since), F.lit(interval.start - timedelta(days=1))))
        .select(C.USER_ID, C.EVENT_ID, F.lit(True).alias(_EARLIER))
    )


def with_event(records: DataFrame) -> DataFrame:
    """Adds `ds`, and the normalised values and the id of the event in each raw record.

    The id hashes the values, or the text itself where a value cannot be read: only equal records share an id.
    """
    quantity_text, price_text = text_or_null(F.col(C.QUANTITY)), text_or_null(F.col(C.PRICE))
    records = records.withColumns(
        {
            C.DS: F.regexp_extract(C.SOURCE_FILE, r"/ds=([^/]+)/", 1).cast("date"),
            C.USER_ID: text_or_null(F.col(C.USER_ID)),
            C.ITEM_ID: text_or_null(F.col(C.ITEM_ID)),
            C.BEHAVIOUR: F.lower(text_or_null(F.col(C.EVENT_TYPE))),
            C.SESSION_ID: text_or_null(F.col(C.SESSION_ID)),
            "time_text": text_or_null(F.col(C.EVENT_TIME)),
            "quantity_text": quantity_text,
            "price_text": price_text,
            C.QUANTITY: finite(quantity_text),
            C.PRICE: finite(price_text),
        }
    ).withColumn(C.EVENT_TIME, parsed_time(F.col("time_text")))
    values = (
        F.coalesce(F.col(C.EVENT_TIME).cast("string"), F.col("time_text")),
        F.col(C.BEHAVIOUR),
        F.col(C.USER_ID),
        F.col(C.ITEM_ID),
        F.coalesce(F.col(C.QUANTITY).cast("string"), F.col("quantity_text")),
        F.coalesce(F.col(C.PRICE).cast("string"), F.col("price_text")),
        F.col(C.SESSION_ID),
    )
    record = F.concat_ws("\x1f", *(F.coalesce(value, F.lit("\x00")) for value in values))
    event_id = F.substring(F.sha2(F.when(F.col(BROKEN), F.col(C.RAW)).otherwise(record), 256), 1, 32)
    needed = (F.col(C.BEHAVIOUR) == NEEDS_QUANTITY) | F.col("quantity_text").isNotNull()
    return records.withColumns(
        {
            C.EVENT_ID: event_id,
            _BAD_QUANTITY: F.when(needed, F.coalesce(F.col(C.QUANTITY) <= 0, F.lit(True))),
        }
    ).drop("time_text", "quantity_text", "price_text", C.EVENT_TYPE)


def parsed_time(text: Column) -> Column:
    """ISO 8601 (UTC where it names no zone), or seconds, milli-, micro- or nanoseconds since 1970; else null."""
    number = F.when(text.rlike(r"^\d+(\.\d+)?([eE]\+?\d+)?$"), text.try_cast("double"))
    # 1e8 seconds are in 1973, 1e11 in 5138, 1e14 milliseconds as well; a year or a date without dashes is less
    micros = (
        F.when(number < 1e8, None)
        .when(number < 1e11, number * 1e6)
        .when(number < 1e14, number * 1e3)
        .when(number < 1e17, number)
        .when(number < 1e20, number / 1e3)
    )
    # Spark also reads a time alone, as one of today, and a year alone
    iso = F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}"), text.try_cast("timestamp"))
    return F.coalesce(iso, F.timestamp_micros(micros.cast("bigint")))


def with_row_reason(records: DataFrame, ingest: Ingest, items: DataFrame) -> DataFrame:
    """Adds the first reason that a record alone is no event; null where there is none."""
    known = items.select(C.ITEM_ID, F.lit(True).alias(_KNOWN))
    time, day = F.col(C.EVENT_TIME), F.col(C.DS)
    reasons = (
        F.col(BROKEN),
        F.col(C.USER_ID).isNull(),
        F.col(C.ITEM_ID).isNull(),
        time.isNull(),
        (time >= F.date_add(day, 1)) | (time < F.date_sub(day, ingest.late_days)),
        F.col(C.BEHAVIOUR).isNull() | ~F.col(C.BEHAVIOUR).isin(*ingest.behaviours),
        F.col(_BAD_QUANTITY),
        F.col(_KNOWN).isNull(),
    )
    first = F.coalesce(*(F.when(reason, F.lit(name)) for name, reason in zip(REASONS[:-1], reasons, strict=True)))
    return records.join(known, C.ITEM_ID, "left").withColumn(C.REASON, first)


def with_fate(records: DataFrame, ingest: Ingest, earlier: DataFrame) -> DataFrame:
    """Adds whether a record is clean, rejected or a duplicate, and the reason of bots.

    A record that its own day's log holds before is a duplicate, rejected or not. A clean one is a duplicate also
    if the log of an earlier day brought it. Bots are counted within one day's log, duplicates left out. So each
    day's rows are the same whether it is cleaned alone or with other days.
    """
    # one shuffle for all windows, records without a user are spread by their id; equal records are of the same
    # hour, so that the first two windows also share a sort
    by_owner = records.withColumn(_OWNER, F.coalesce(C.USER_ID, C.EVENT_ID)).repartition(_OWNER)
    same_day = Window.partitionBy(_OWNER, C.DS, _HOUR, C.EVENT_ID).orderBy(C.SOURCE_FILE, C.RAW)
    same_hour = Window.partitionBy(_OWNER, C.DS, _HOUR)
    same_event = Window.partitionBy(_OWNER, C.EVENT_ID)
    counted = F.col(C.EVENT_TIME).isNotNull() & F.col(C.USER_ID).isNotNull() & ~F.col(_REPEATED)
    is_bot = F.count(F.when(counted, 1)).over(same_hour) > ingest.max_user_events_per_hour
    is_new = F.col(C.REASON).isNull() & ~F.col(_REPEATED)
    first_day = F.min(F.when(is_new, F.col(C.DS))).over(same_event)
    fate = (
        F.when(F.col(_REPEATED), DUPLICATE)
        .when(F.col(C.REASON).isNotNull(), REJECTED)
        .when((F.col(C.DS) > first_day) | F.col(_EARLIER).isNotNull(), DUPLICATE)
        .otherwise(CLEAN)
    )
    return (
        by_owner.withColumn(_HOUR, F.date_trunc("hour", C.EVENT_TIME))
        .withColumn(_REPEATED, F.row_number().over(same_day) > 1)
        .withColumn(C.REASON, F.coalesce(C.REASON, F.when(counted & is_bot, REASONS[-1])))
        .join(earlier, [C.USER_ID, C.EVENT_ID], "left")
        .withColumn(FATE, fate)
        .withColumn(C.RAW, F.when(F.col(FATE) == REJECTED, F.col(C.RAW)))
        .select(FATE, *EVENTS.names, C.REASON, C.RAW, C.SOURCE_FILE)
    )
