"""The catalogue as the table `items`: normalised, one row per item, with the text that the model reads.

An item without attributes has an empty text: its id says nothing about it, and the model knows it by its events.
`spark_jobs.clean_events` runs it first.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts import lake
from contracts.cli import log
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import ITEMS, ITEMS_REJECTED
from spark_jobs.ingest.events import day_records, folder_above
from spark_jobs.ingest.expressions import ITEM_COLUMNS, inline_fields, item_fields
from spark_jobs.ingest.inspections import identity
from spark_jobs.ingest.landing import Landing
from spark_jobs.ingest.log_files import LogFile
from spark_jobs.ingest.records import BROKEN, finite, is_unusable, read_records, text_or_null

REASONS = ("unparseable_record", "missing_item_id", "unusable_id", "duplicate_item")
"""Why a catalogue record is not an item, in the order in which they are tried."""

SAYS_AVAILABLE = ("true", "t", "1", "yes", "y", "in stock", "in_stock", "available")
"""Words for an item that can be sold; any other word means that it cannot, no word that it can."""

_ITEM, _WHEN = "item_", "_when"

ATTRIBUTES = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND, C.SIZE)


def run(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> None:
    """Brings `items` and `items_rejected` up to the catalogue; writes nothing if they are already."""
    mapping = landing.mapping
    note = inline_note(settings, interval, landing) if mapping.catalogue.inline else file_note(settings, landing)
    # items are written last; of no rejects after no rejects Delta makes no commit, so that note can be old
    if lake.exists(settings, ITEMS) and lake.newest_note(settings, ITEMS) == note:
        log.info("Catalogue: unchanged.")
        return
    made = inline_items if mapping.catalogue.inline else catalogue_records
    records = made(spark, settings, interval, landing).persist()
    try:
        items = records.where(F.col(C.REASON).isNull()).transform(with_text, settings.ingest.item_text)
        rejected = records.where(F.col(C.REASON).isNotNull()).dropDuplicates([C.RAW])
        lake.replace(rejected.coalesce(1), settings, ITEMS_REJECTED, None, note)
        lake.replace(items, settings, ITEMS, None, note)
    finally:
        records.unpersist()
    read = landing.event_files if mapping.catalogue.inline else landing.catalogue
    log.info("Catalogue: %d records read.", sum(file.records for file in read))


def known_items(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """Ids of the items that `run` would leave; nothing is written."""
    made = inline_items if landing.mapping.catalogue.inline else catalogue_records
    return made(spark, settings, interval, landing).where(F.col(C.REASON).isNull()).select(C.ITEM_ID)


def file_note(settings: Settings, landing: Landing) -> dict[str, object]:
    """What names the content of `items` that catalogue files give."""
    mapping = landing.mapping
    way = "" if mapping.is_default else f"{mapping.catalogue.dialect} {mapping.item}"
    return {"catalogue": fingerprint(landing.catalogue, settings.ingest.item_text + way)}


def inline_note(settings: Settings, interval: Interval, landing: Landing) -> dict[str, object]:
    """What names the content of `items` after a run with an inline catalogue, if it was the newest run."""
    told = [settings.ingest.item_text, Path(__file__).read_text(), settings.shop.time_zone, repr(landing.mapping)]
    told += [f"{file.path.parent} {identity(file.path)}" for file in landing.event_files]
    return {
        "catalogue": hashlib.sha256("\n".join(told).encode()).hexdigest(),
        "start": str(interval.start),
        "end": str(interval.end),
    }


def fingerprint(files: list[LogFile], template: str) -> str:
    """Hash of all that decides the content of `items`: the files, the template and this code."""
    digest = hashlib.sha256(template.encode())
    for path in [Path(__file__), *(file.path for file in files)]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def catalogue_records(spark: SparkSession, settings: Settings, _: Interval, landing: Landing) -> DataFrame:
    """The records of the catalogue files with attributes, and why one is no item."""
    mapping, source = landing.mapping, landing.mapping.catalogue
    above = folder_above(settings, source)
    records = read_records(spark, landing.catalogue, source, item_fields(mapping), above)
    return records.transform(with_all_columns).transform(with_attributes).transform(with_reason)


def inline_items(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """The items after a run whose log records name the attributes: its own ones, and those that were there before.

    An item is as the newest of the run's records with its id says, also of one that is no event for want of a user.
    A run of older days therefore gives the items that it has their older attributes again.
    """
    fields = [replace(field, column=f"{_ITEM}{field.column}") for field in inline_fields(landing.mapping)]
    records = day_records(spark, settings, interval, landing, fields).where(~F.col(BROKEN))
    time = F.col(C.EVENT_TIME)
    attributes = (
        records.select(
            *(F.col(field.column).alias(field.column.removeprefix(_ITEM)) for field in fields),
            F.struct(time, F.col(C.RAW)).alias(_WHEN),
        )
        .transform(with_all_columns)
        .transform(with_attributes)
        .where(F.col(C.ITEM_ID).isNotNull() & ~is_unusable(F.col(C.ITEM_ID)))
    )
    names = (*ATTRIBUTES, C.PRICE, C.AVAILABLE)
    newest = (
        attributes.groupBy(C.ITEM_ID)
        .agg(F.max_by(F.struct(*names), _WHEN).alias("newest"))
        .select(C.ITEM_ID, *(F.col(f"newest.{name}").alias(name) for name in names))
    )
    before = lake.read_or_empty(spark, settings, ITEMS).select(C.ITEM_ID, *names).join(newest, C.ITEM_ID, "left_anti")
    nothing = {name: F.lit(None).cast("string") for name in (C.REASON, C.RAW, C.SOURCE_FILE)}
    return newest.unionByName(before).withColumns(nothing)


def with_all_columns(records: DataFrame) -> DataFrame:
    """Adds what the mapping does not name, as null."""
    missing = [name for name in ITEM_COLUMNS if name not in records.columns]
    return records.withColumns({name: F.lit(None).cast("string") for name in missing})


def with_attributes(records: DataFrame) -> DataFrame:
    """Adds the columns of an item, normalised: single spaces, no characters that control, nothing empty."""
    words, price = F.lower(text_or_null(F.col(C.AVAILABLE))), finite(F.col(C.PRICE))
    return records.withColumns(
        {
            C.ITEM_ID: text_or_null(F.col(C.ITEM_ID)),
            **{name: text_or_null(F.regexp_replace(name, r"[\s\p{Cc}]+", " ")) for name in ATTRIBUTES},
            C.PRICE: F.when(price >= 0, price),
            C.AVAILABLE: F.coalesce(words.isin(*SAYS_AVAILABLE), F.lit(True)),
        }
    )


def with_reason(records: DataFrame) -> DataFrame:
    """Adds why a record is not an item, null if it is. Of several records of an item the first by text is it."""
    same_item = Window.partitionBy(C.ITEM_ID).orderBy(BROKEN, C.RAW)
    item_id = F.col(C.ITEM_ID)
    reasons = (F.col(BROKEN), item_id.isNull(), is_unusable(item_id), F.row_number().over(same_item) > 1)
    return records.withColumn(
        C.REASON,
        F.coalesce(*(F.when(reason, F.lit(name)) for name, reason in zip(REASONS, reasons, strict=True))),
    )


def with_text(items: DataFrame, template: str) -> DataFrame:
    """Adds the item's text and its hash."""
    return items.withColumn(C.TEXT, rendered(template)).withColumn(C.TEXT_HASH, F.sha2(C.TEXT, 256))


def rendered(template: str) -> Column:
    """The item's text in lower case: the template's parts, without those that are empty or repeat another one.

    Parts stand between commas. ``"{title}, {brand} brand"`` with no brand gives the title alone.
    """
    parts = [_part(part.strip()) for part in template.split(",") if part.strip()]
    return F.array_join(F.array_distinct(F.array(*parts)), ", ")


def _part(part: str) -> Column:
    """One part of the template; null if one of its attributes is missing."""
    pieces = re.split(r"\{(\w+)\}", part)
    return F.lower(F.concat(*(F.col(p) if n % 2 else F.lit(p) for n, p in enumerate(pieces) if p)))
