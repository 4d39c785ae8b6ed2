"""The catalogue as the table `items`: normalised, one row per item, with the text that the model reads.

`spark_jobs.clean_events` runs it first.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts import lake
from contracts.cli import log
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import ITEMS, ITEMS_REJECTED
from spark_jobs.ingest.landing import CATALOGUE_COLUMNS
from spark_jobs.ingest.log_files import LogFile
from spark_jobs.ingest.records import BROKEN, finite, read_records, text_or_null

REASONS = ("unparseable_record", "missing_item_id", "duplicate_item")
"""Why a catalogue record is not an item, in the order in which they are tried."""

SAYS_AVAILABLE = ("true", "t", "1", "yes", "y", "in stock", "in_stock", "available")
"""Words for an item that can be sold; any other word means that it cannot, no word that it can."""

ATTRIBUTES = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND, C.SIZE)


def run(spark: SparkSession, settings: Settings, files: list[LogFile]) -> None:
    """Brings `items` and `items_rejected` up to the catalogue; writes nothing if they are already."""
    note = {"catalogue": fingerprint(files, settings.ingest.item_text)}
    # items are written last; of no rejects after no rejects Delta makes no commit, so that note can be old
    if lake.exists(settings, ITEMS) and lake.newest_note(settings, ITEMS) == note:
        log.info("Catalogue: unchanged.")
        return
    records = (
        read_records(spark, files, CATALOGUE_COLUMNS, settings.landing)
        .transform(with_attributes)
        .transform(with_reason)
        .persist()
    )
    try:
        items = records.where(F.col(C.REASON).isNull()).transform(with_text, settings.ingest.item_text)
        rejected = records.where(F.col(C.REASON).isNotNull()).dropDuplicates([C.RAW])
        lake.replace(rejected.coalesce(1), settings, ITEMS_REJECTED, None, note)
        lake.replace(items, settings, ITEMS, None, note)
    finally:
        records.unpersist()
    log.info("Catalogue: %d records read.", sum(file.records for file in files))


def fingerprint(files: list[LogFile], template: str) -> str:
    """Hash of all that decides the content of `items`: the files, the template and this code."""
    digest = hashlib.sha256(template.encode())
    for path in [Path(__file__), *(file.path for file in files)]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def with_attributes(records: DataFrame) -> DataFrame:
    """Adds the columns of an item, normalised: single spaces, nothing empty."""
    words = F.lower(text_or_null(F.col(C.AVAILABLE)))
    return records.withColumns(
        {
            C.ITEM_ID: text_or_null(F.col(C.ITEM_ID)),
            **{name: text_or_null(F.regexp_replace(name, r"\s+", " ")) for name in ATTRIBUTES},
            C.PRICE: finite(F.col(C.PRICE)),
            C.AVAILABLE: F.coalesce(words.isin(*SAYS_AVAILABLE), F.lit(True)),
        }
    )


def with_reason(records: DataFrame) -> DataFrame:
    """Adds why a record is not an item, null if it is. Of several records of an item the first by text is it."""
    same_item = Window.partitionBy(C.ITEM_ID).orderBy(BROKEN, C.RAW)
    reasons = (F.col(BROKEN), F.col(C.ITEM_ID).isNull(), F.row_number().over(same_item) > 1)
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
