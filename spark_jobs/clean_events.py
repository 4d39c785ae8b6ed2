"""Cleans the logs of a run's days: events, rejects with their reasons, the catalogue.

    python -m spark_jobs.clean_events --start 2017-12-23 --end 2017-12-24 --run-id by-hand

Every record of the logs becomes one row of `events`, one row of `events_rejected` with its first reason, or is
counted as a duplicate; `ingest_counts` keeps the balance of each day. `ds` is the day whose folder brought the
record. Running it again replaces exactly the days [start, end) and leaves the same rows.

`--allow-empty` lets days without records pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spark_jobs import clean_items, storage
from spark_jobs.contracts.cli import entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.settings import Ingest, Settings
from spark_jobs.contracts.tables import EVENTS, EVENTS_REJECTED, INGEST_COUNTS, ITEMS
from spark_jobs.land_events import EVENT_COLUMNS, Landing, land
from spark_jobs.raw_records import BROKEN, finite, read_records, text_or_null
from spark_jobs.session import session

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
_FATE = "fate"
_OWNER, _HOUR, _REPEATED, _KNOWN, _EARLIER = "_owner", "_hour", "_repeated", "_known", "_earlier"
_BAD_QUANTITY = "_bad_quantity"


def run(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> None:
    """Reads, classifies, checks the balance and writes; nothing of the days is written before the check.

    The events come last, so that a run that is killed on the way leaves no events without their counts, and
    run again ends in the same state.
    """
    clean_items.run(spark, settings, landing.catalogue)
    classified = (
        read_records(spark, landing.event_files, EVENT_COLUMNS, settings.landing)
        .transform(with_event)
        .transform(with_row_reason, settings.ingest, storage.read(spark, settings, ITEMS))
        .transform(with_fate, settings.ingest, earlier_events(spark, settings, interval))
        .persist()
    )
    try:
        counts = balance(classified, landing)
        log_counts(counts)
        days = f"ds >= '{interval.start}' AND ds < '{interval.end}'"
        rejected = classified.where(F.col(_FATE) == REJECTED).hint("rebalance", C.DS)
        storage.replace(rejected, settings, EVENTS_REJECTED, days)
        storage.replace_small(settings, INGEST_COUNTS, counts, days)
        events = classified.where(F.col(_FATE) == CLEAN).hint("rebalance", C.DS)
        storage.replace(events.sortWithinPartitions(C.DS, C.USER_ID, C.EVENT_TIME, C.EVENT_ID), settings, EVENTS, days)
    finally:
        classified.unpersist()


def earlier_events(spark: SparkSession, settings: Settings, interval: Interval) -> DataFrame:
    """Ids of events that logs just before the interval brought: a late log may repeat them."""
    since = interval.start - timedelta(days=settings.ingest.late_days)
    return (
        storage.empty_if_missing(spark, settings, EVENTS)
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
    first = F.coalesce(*(F.when(reason, F.lit(name)) for name, reason in zip(REASONS, reasons, strict=False)))
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
        .withColumn(_FATE, fate)
        .withColumn(C.RAW, F.when(F.col(_FATE) == REJECTED, F.col(C.RAW)))
        .select(_FATE, *EVENTS.names, C.REASON, C.RAW, C.SOURCE_FILE)
    )


def balance(classified: DataFrame, landing: Landing) -> list[tuple[date, int, int, int, int, int]]:
    """Rows of `ingest_counts`.

    Raises:
        InputError: a day has other records than were counted when its files were checked.
    """
    sums = {
        row[C.DS]: row
        for row in classified.groupBy(C.DS)
        .agg(*(F.count_if(F.col(_FATE) == fate).alias(fate) for fate in (CLEAN, REJECTED, DUPLICATE)))
        .collect()
    }
    rows = []
    for day, files in landing.events.items():
        found = sums.get(day)
        clean, rejected, duplicates = (found[CLEAN], found[REJECTED], found[DUPLICATE]) if found else (0, 0, 0)
        raw = sum(file.records for file in files)
        if raw != clean + rejected + duplicates:
            raise InputError(
                f"The log of {day} does not balance: {raw} records in its files, but {clean} clean + {rejected} "
                f"rejected + {duplicates} duplicates. Did a file change during the run? Run it again."
            )
        rows.append((day, len(files), raw, clean, rejected, duplicates))
    return rows


def log_counts(counts: Sequence[tuple[date, int, int, int, int, int]], shown: int = 7) -> None:
    """Logs the balance of the last days, and of all."""
    line = "%-10s %6s %10s %10s %9s %10s"
    log.info(line, "day", "files", "raw", "clean", "rejected", "duplicates")
    if len(counts) > shown:
        log.info("… %d days before", len(counts) - shown)
    for row in counts[-shown:]:
        log.info(line, *row)
    if len(counts) > 1:
        log.info(line, "all", *(sum(column) for column in zip(*(row[1:] for row in counts), strict=True)))


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = parser(__doc__)
    arguments.add_argument("--allow-empty", action="store_true", help="let days without records pass")
    parsed = arguments.parse_args(argv)
    interval = run_of(parsed).interval
    landing = land(settings, interval, allow_empty=parsed.allow_empty)
    with session("clean_events", settings) as spark:
        run(spark, settings, interval, landing)


if __name__ == "__main__":
    entry(main)
