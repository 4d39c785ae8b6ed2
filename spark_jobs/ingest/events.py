"""The rules for events: every record is an event, quarantined with its first reason, or a counted duplicate."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.fallback import FALLBACK_USER
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS, Mapping, Source
from contracts.settings import Ingest, Settings
from contracts.tables import EVENTS, RECORDS
from spark_jobs.ingest.expressions import Field, event_fields
from spark_jobs.ingest.landing import Landing
from spark_jobs.ingest.records import BROKEN, finite, is_unusable, read_records, text_or_null
from spark_jobs.ingest.times import day_of, event_time, midnight, require_pattern

REASONS = (
    "unparseable_record",
    "missing_user_id",
    "missing_item_id",
    "unusable_id",
    "reserved_user_id",
    "unparseable_time",
    "outside_interval",
    "returned",
    "unknown_behaviour",
    "non_positive_quantity",
    "negative_price",
    "rating_off_scale",
    "unknown_item",
    "bot_like_rate",
)
"""Why a record is not an event, in the order in which they are tried: a record has the first that applies."""

NEEDS_QUANTITY = "purchase"
"""The behaviour that is nothing without a quantity; with any other one it may be missing."""

CLEAN, REPEATED, REJECTED, DUPLICATE = "clean", "repeated", "rejected", "duplicate"
"""What a record can be: `repeated` would be clean, if an earlier day's log had not brought the same event."""
_OWNER, _HOUR, _DUPLICATE, _KNOWN, _EARLIER = "_owner", "_hour", "_duplicate", "_known", "_earlier"
_BAD_QUANTITY, _NO_RATING = "_bad_quantity", "_no_rating"
_VALUE = "value"
"""What a line cost in all."""
MAX_PATH = 4096
"""Longer than any path."""


def classified(
    spark: SparkSession, settings: Settings, interval: Interval, landing: Landing, known: DataFrame
) -> DataFrame:
    """Every record of the landed logs of ``interval``: columns of `RECORDS`, one of them its fate.

    The landing of an export has been counted (`dated`). ``known`` has the ids of the items that the catalogue knows.
    The days are compared with one another alone: `not_before` compares them with those that are in the tables.
    """
    return (
        day_records(spark, settings, interval, landing)
        .transform(with_row_reason, settings.ingest, known, settings.shop.time_zone)
        .transform(with_fate, settings.ingest)
    )


def not_before(records: DataFrame, spark: SparkSession, settings: Settings, interval: Interval) -> DataFrame:
    """``records`` of ``interval``, of which the clean ones are `repeated` that an earlier day in the tables has."""
    earlier = earlier_events(spark, settings, interval)
    if earlier is None:
        return records
    is_repeated = (F.col(C.FATE) == CLEAN) & F.col(_EARLIER).isNotNull()
    fate = F.when(is_repeated, F.lit(REPEATED)).otherwise(F.col(C.FATE))
    return (
        records.join(earlier.select(C.EVENT_ID, F.lit(True).alias(_EARLIER)), C.EVENT_ID, "left")
        .withColumn(C.FATE, fate)
        .drop(_EARLIER)
    )


def clean_landed(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """Rows of `events` that the landed logs of ``interval`` give; nothing is written."""
    known = catalogue.frame(spark, settings, Edition(interval.ds))
    records = not_before(classified(spark, settings, interval, landing, known), spark, settings, interval)
    return records.where(F.col(C.FATE) == CLEAN).select(*EVENTS.names)


def day_records(
    spark: SparkSession, settings: Settings, interval: Interval, landing: Landing, fields: Sequence[Field] = ()
) -> DataFrame:
    """The records of the run's days with their events, and the values of ``fields`` beside those of the event."""
    records = all_records(spark, settings, landing, fields)
    if not landing.export:
        return records
    # a time that cannot be read is of no day: the export's first one takes it, so that it is in one run and no other
    dated = records.withColumn(C.DS, F.coalesce(C.DS, F.lit(landing.first_day).cast("date")))
    return dated.where(interval.covers(F.col(C.DS)))


def all_records(spark: SparkSession, settings: Settings, landing: Landing, fields: Sequence[Field] = ()) -> DataFrame:
    """All records of the landed files; in an export those whose time cannot be read have no `ds`."""
    mapping, zone = landing.mapping, settings.shop.time_zone
    above = folder_above(settings, mapping.logs)
    if mapping.event.time_format is not None:
        require_pattern(spark, mapping.event.time_format)
    read = [*event_fields(mapping), *fields]
    records = read_records(spark, landing.event_files, mapping.logs, read, above).transform(with_event, mapping, zone)
    if mapping.logs.days is None:
        return records.withColumn(C.DS, day_of(F.col(C.EVENT_TIME), zone))
    return records.withColumn(C.DS, day_in_path(F.substring(C.SOURCE_FILE, len(above) + 1, MAX_PATH), mapping.logs))


def folder_above(settings: Settings, logs: Source) -> str:
    """What stands before the path below the logs' folder in `source_file`: their place below landing/, if it is there.

    In the contract's shape it is `events/`.
    """
    root, landing = logs.root, settings.landing
    below = type(root) is type(landing) and root.is_relative_to(landing) and root != landing
    return f"{root.relative_to(landing).as_posix()}/" if below else ""


def day_in_path(path: Column, logs: Source) -> Column:
    """The day that a path tells, as `Source.day_of` has found it."""
    letters = re.findall(r"\?P<(\w)>", logs.day_pattern or "")
    pattern = re.sub(r"\?P<\w>", "", logs.day_pattern or "")
    parts = {letter: F.regexp_extract(path, pattern, n) for n, letter in enumerate(letters, 1)}
    year = parts["Y"] if "Y" in parts else F.concat(F.lit("20"), parts["y"])
    return F.concat_ws("-", year, parts["m"], parts["d"]).try_cast("date")


def earlier_events(spark: SparkSession, settings: Settings, interval: Interval) -> DataFrame | None:
    """Days and ids of the events before the interval that its log may repeat; None where no day is looked at."""
    since = interval.start - timedelta(days=settings.ingest.late_days)
    if since == interval.start or not lake.exists(settings, EVENTS):
        return None
    events = lake.read(spark, settings, EVENTS)
    return events.where((F.col(C.DS) >= F.lit(since)) & (F.col(C.DS) < F.lit(interval.start))).select(C.DS, C.EVENT_ID)


def with_event(records: DataFrame, mapping: Mapping, zone: str) -> DataFrame:
    """Adds the normalised values and the id of the event in each raw record; ``zone`` is the shop's time zone.

    The id hashes the values, or the text itself where a value cannot be read: only equal records share an id.
    """
    event = mapping.event
    # what the mapping does not name is nowhere
    records = records.withColumns(
        {name: F.lit(None).cast("string") for name in (*EVENT_COLUMNS, C.RATING) if getattr(event, name) is None}
    ).withColumn(C.BEHAVIOUR, behaviour(mapping))
    if event.quantity is None:
        records = records.withColumn(C.QUANTITY, F.when(F.col(C.BEHAVIOUR) == NEEDS_QUANTITY, "1"))
    quantity_text = text_or_null(F.col(C.QUANTITY))
    price_text = text_or_null(F.col(C.PRICE if event.value is None else _VALUE))
    rating_text = text_or_null(F.col(C.RATING))
    quantity, price, rating = finite(quantity_text), finite(price_text), finite(rating_text)
    if event.value is not None:
        price = F.try_divide(price, quantity)
    records = records.withColumns(
        {
            C.USER_ID: text_or_null(F.col(C.USER_ID)),
            C.ITEM_ID: text_or_null(F.col(C.ITEM_ID)),
            C.SESSION_ID: text_or_null(F.col(C.SESSION_ID)),
            "time_text": text_or_null(F.col(C.EVENT_TIME)),
            "quantity_text": quantity_text,
            "price_text": price_text,
            "rating_text": rating_text,
            C.QUANTITY: quantity,
            C.PRICE: price,
            C.RATING: rating,
        }
    ).withColumn(C.EVENT_TIME, event_time(F.col("time_text"), event, zone))
    values = (
        F.coalesce(F.col(C.EVENT_TIME).cast("string"), F.col("time_text")),
        F.col(C.BEHAVIOUR),
        F.col(C.USER_ID),
        F.col(C.ITEM_ID),
        F.coalesce(F.col(C.QUANTITY).cast("string"), F.col("quantity_text")),
        F.coalesce(F.col(C.PRICE).cast("string"), F.col("price_text")),
        F.col(C.SESSION_ID),
    )
    record = _joined(*values)
    if event.rating is not None:
        # one without a rating has the id that it had before there were any
        told = F.coalesce(F.col(C.RATING).cast("string"), F.col("rating_text"))
        record = F.when(told.isNull(), record).otherwise(_joined(*values, told))
    event_id = F.substring(F.sha2(F.when(F.col(BROKEN), F.col(C.RAW)).otherwise(record), 256), 1, 32)
    needed = (F.col(C.BEHAVIOUR) == NEEDS_QUANTITY) | F.col("quantity_text").isNotNull()
    return records.withColumns(
        {
            C.EVENT_ID: event_id,
            _BAD_QUANTITY: F.when(needed, F.coalesce(F.col(C.QUANTITY) <= 0, F.lit(True))),
            _NO_RATING: F.col("rating_text").isNotNull() & F.col(C.RATING).isNull(),
        }
    ).drop("time_text", "quantity_text", "price_text", "rating_text", C.EVENT_TYPE, _VALUE)


def _joined(*values: Column) -> Column:
    """Values as one text; other values, and values that are null, give another text."""
    text = F.concat_ws("\x1f", *(F.coalesce(value, F.lit("\x00")) for value in values))
    # values that have these characters themselves would make different records one
    return F.when(F.concat_ws("", *values).rlike("[\x00\x1f]"), F.to_json(F.array(*values))).otherwise(text)


def behaviour(mapping: Mapping) -> Column:
    """What the event is: the log's own word in lower case, or ours for it; a purchase where the log has no word."""
    if mapping.event.event_type is None:
        return F.lit(NEEDS_QUANTITY)
    word = F.lower(text_or_null(F.col(C.EVENT_TYPE)))
    ours = [F.when(word.isin(*words), F.lit(name)) for name, words in mapping.behaviours.items() if words]
    return F.coalesce(*ours, word)


def with_row_reason(records: DataFrame, ingest: Ingest, items: DataFrame, zone: str) -> DataFrame:
    """Adds the first reason that a record alone is no event; null where there is none."""
    known = items.select(C.ITEM_ID, F.lit(True).alias(_KNOWN))
    time, day = F.col(C.EVENT_TIME), F.col(C.DS)
    begins, ends = midnight(F.date_sub(day, ingest.late_days), zone), midnight(F.date_add(day, 1), zone)
    returns = [name for name in ingest.returns if name not in ingest.behaviours]
    lowest, highest = ingest.rating_scale or (-math.inf, math.inf)
    reasons = (
        F.col(BROKEN),
        F.col(C.USER_ID).isNull(),
        F.col(C.ITEM_ID).isNull(),
        is_unusable(F.col(C.USER_ID))
        | is_unusable(F.col(C.ITEM_ID))
        | F.coalesce(is_unusable(F.col(C.SESSION_ID)), F.lit(False)),
        F.col(C.USER_ID) == FALLBACK_USER,
        time.isNull(),
        (time >= ends) | (time < begins),
        F.col(C.BEHAVIOUR).isin(*returns),
        F.col(C.BEHAVIOUR).isNull() | ~F.col(C.BEHAVIOUR).isin(*ingest.behaviours),
        F.col(_BAD_QUANTITY),
        F.col(C.PRICE) < 0,
        F.col(_NO_RATING) | (F.col(C.RATING) < lowest) | (F.col(C.RATING) > highest),
        F.col(_KNOWN).isNull(),
    )
    first = F.coalesce(*(F.when(reason, F.lit(name)) for name, reason in zip(REASONS[:-1], reasons, strict=True)))
    return records.join(known, C.ITEM_ID, "left").withColumn(C.REASON, first)


def with_fate(records: DataFrame, ingest: Ingest) -> DataFrame:
    """Adds whether a record is clean, repeated, rejected or a duplicate, and the reason of bots.

    A record that its own day's log holds before is a duplicate, rejected or not. A clean one is repeated if the log of
    an earlier one of the days brought it. Bots are counted within one day's log, duplicates left out. So each day's
    rows are the same whether it is cleaned alone or with other days.
    """
    # one shuffle for all windows, records without a user are spread by their id; equal records are of the same
    # hour, so that the first two windows also share a sort
    by_owner = records.withColumn(_OWNER, F.coalesce(C.USER_ID, C.EVENT_ID)).repartition(_OWNER)
    same_day = Window.partitionBy(_OWNER, C.DS, _HOUR, C.EVENT_ID).orderBy(C.SOURCE_FILE, C.RAW)
    same_hour = Window.partitionBy(_OWNER, C.DS, _HOUR)
    same_event = Window.partitionBy(_OWNER, C.EVENT_ID)
    counted = F.col(C.EVENT_TIME).isNotNull() & F.col(C.USER_ID).isNotNull() & ~F.col(_DUPLICATE)
    is_bot = F.count(F.when(counted, 1)).over(same_hour) > ingest.max_user_events_per_hour
    is_new = F.col(C.REASON).isNull() & ~F.col(_DUPLICATE)
    first_day = F.min(F.when(is_new, F.col(C.DS))).over(same_event)
    fate = (
        F.when(F.col(_DUPLICATE), DUPLICATE)
        .when(F.col(C.REASON).isNotNull(), REJECTED)
        .when(F.col(C.DS) > first_day, REPEATED)
        .otherwise(CLEAN)
    )
    return (
        by_owner.withColumn(_HOUR, F.date_trunc("hour", C.EVENT_TIME))
        .withColumn(_DUPLICATE, F.row_number().over(same_day) > 1)
        .withColumn(C.REASON, F.coalesce(C.REASON, F.when(counted & is_bot, REASONS[-1])))
        .withColumn(C.FATE, fate)
        .withColumn(C.RAW, F.when(F.col(C.FATE) == REJECTED, F.col(C.RAW)))
        .select(*RECORDS.names)
    )
