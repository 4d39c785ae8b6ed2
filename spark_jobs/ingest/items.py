"""The catalogue: normalised, one row per item, with the text that the model reads; versioned by the day that it is of.

An item without attributes has an empty text: its id says nothing about it, and the model knows it by its events.
`spark_jobs.clean_events` prepares it first, `spark_jobs.validate` takes it in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import reduce
from pathlib import Path

import pyarrow.dataset as pads
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts import catalogue, intake, lake, prompt
from contracts.catalogue import Edition
from contracts.cli import log
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.mapping import Mapping as LogMapping
from contracts.prompt import ATTRIBUTES
from contracts.settings import Settings
from contracts.tables import CATALOGUE_RECORDS, ITEMS, waiting_table
from spark_jobs.ingest.events import day_records, folder_above
from spark_jobs.ingest.expressions import ITEM_COLUMNS, inline_fields, item_fields
from spark_jobs.ingest.landing import Landing
from spark_jobs.ingest.log_files import LogFile
from spark_jobs.ingest.records import BROKEN, finite, is_unusable, read_records, text_or_null

REASONS = ("unparseable_record", "missing_item_id", "unusable_id", "duplicate_item")
"""Why a catalogue record is not an item, in the order in which they are tried."""

SAYS_AVAILABLE = ("true", "t", "1", "yes", "y", "in stock", "in_stock", "available")
"""Words for an item that can be sold; any other word means that it cannot, no word that it can."""

_ITEM, _WHEN = "item_", "_when"

NOTHING, UPDATE, WHOLE = "nothing", "update", "whole"
"""What a run can bring of the catalogue: nothing new, what log records say of their items, or all of it."""


def prepare(spark: SparkSession, settings: Settings, landings: Mapping[Interval, Landing]) -> str:
    """Writes the catalogue of a run aside, until the gate has seen it; says what it is: `NOTHING`, `UPDATE` or `WHOLE`.

    ``landings`` has what each batch of days brings, the night's own last.
    """
    interval, landing = list(landings.items())[-1]
    table = waiting_table(CATALOGUE_RECORDS, interval.ds)
    if landing.mapping.catalogue.inline:
        parts = (inline_items(spark, settings, days, each) for days, each in landings.items())
        records = reduce(DataFrame.unionByName, parts)
        made_from, what = digest(settings, landing.mapping, []), UPDATE
    else:
        made_from, what = digest(settings, landing.mapping, landing.catalogue), WHOLE
        day = day_to_write(settings, interval, landing.catalogue_day, made_from)
        if day is None:
            return NOTHING
        records = catalogue_records(spark, settings, landing).withColumn(C.DS, F.lit(day).cast("date"))
    rows = records.transform(with_text, settings.ingest.item_text).withColumns(
        {C.WHOLE: F.lit(what == WHOLE), C.MADE_FROM: F.lit(made_from)}
    )
    lake.replace(rows, settings, table, None)
    read = landing.event_files if landing.mapping.catalogue.inline else landing.catalogue
    log.info("Catalogue: %d records read.", sum(file.records for file in read))
    return what


def known_to(spark: SparkSession, settings: Settings, batches: Sequence[Interval], prepared: str) -> DataFrame:
    """Ids of the items that a run's records may name: those of its catalogue, and for earlier days of that of then."""
    night = batches[-1].ds
    parts = []
    if prepared != NOTHING:
        rows = lake.read(spark, settings, waiting_table(CATALOGUE_RECORDS, night))
        parts.append(rows.where(F.col(C.REASON).isNull()))
    if prepared != WHOLE and lake.exists(settings, ITEMS):
        parts.append(catalogue.frame(spark, settings, Edition(night)))
    if lake.exists(settings, ITEMS):
        parts += [catalogue.frame(spark, settings, Edition(days.ds)) for days in batches[:-1]]
    ids = [part.select(C.ITEM_ID) for part in parts]
    return ids[0] if len(ids) == 1 and prepared != UPDATE else reduce(DataFrame.union, ids).distinct()


def day_to_write(settings: Settings, interval: Interval, told: date | None, made_from: str) -> date | None:
    """The day of which a run writes its catalogue; None where what the table has is to stay.

    That is the day ``told`` by the catalogue's path. One without a day is of the time of the run: it becomes the
    night's if no later night was taken in, and leaves the past as it was.
    """
    night, known = interval.ds, catalogue.days(settings)
    later = [day for day in (*known, *intake.accepted(settings)) if day > night]
    if told is None and known and later:
        log.info("Catalogue: it tells no day, and the night %s was taken in since: what there is stays.", max(later))
        return None
    whole = [day for day, kinds in known.items() if True in kinds]
    same = told if told is not None else max(whole, default=None)
    if same in whole and made_from == _made_from(settings, same):
        log.info("Catalogue: unchanged since %s.", same)
        return None
    if told is not None:
        return told
    return night if known else interval.start


def _made_from(settings: Settings, day: date | None) -> str | None:
    """What the whole catalogue of a day was made from."""
    where = (pads.field(C.DS) == day) & pads.field(C.WHOLE)
    rows = lake.some_rows(settings, ITEMS, [C.MADE_FROM], where, 1)
    return rows[0][C.MADE_FROM] if rows else None


def known_items(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """Ids of the items that would be known after a run; nothing is written."""
    if not landing.mapping.catalogue.inline:
        return catalogue_records(spark, settings, landing).where(F.col(C.REASON).isNull()).select(C.ITEM_ID)
    named = inline_items(spark, settings, interval, landing).select(C.ITEM_ID)
    if lake.exists(settings, ITEMS):
        named = named.union(catalogue.frame(spark, settings, Edition(interval.ds)).select(C.ITEM_ID))
    return named.distinct()


def digest(settings: Settings, mapping: LogMapping, files: Sequence[LogFile]) -> str:
    """Hash of all that decides a catalogue: files, template, mapping and this code."""
    way = "" if mapping.is_default else f"{mapping.catalogue.dialect} {mapping.item}"
    made = hashlib.sha256(f"{settings.ingest.item_text}{way}".encode())
    for path in [Path(__file__), Path(prompt.__file__), *(file.path for file in files)]:
        with path.open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()


def catalogue_records(spark: SparkSession, settings: Settings, landing: Landing) -> DataFrame:
    """The records of the catalogue files with attributes, and why one is no item."""
    mapping, source = landing.mapping, landing.mapping.catalogue
    above = folder_above(settings, source)
    records = read_records(spark, landing.catalogue, source, item_fields(mapping), above)
    return records.transform(with_all_columns).transform(with_attributes).transform(with_reason)


def inline_items(spark: SparkSession, settings: Settings, interval: Interval, landing: Landing) -> DataFrame:
    """The items that the log records of some days name, for each day: they need no catalogue file.

    An item is as the newest of the day's records with its id says, also of one that is no event for want of a user.
    """
    fields = [replace(field, column=f"{_ITEM}{field.column}") for field in inline_fields(landing.mapping)]
    records = day_records(spark, settings, interval, landing, fields).where(~F.col(BROKEN))
    attributes = (
        records.select(
            C.DS,
            *(F.col(field.column).alias(field.column.removeprefix(_ITEM)) for field in fields),
            F.struct(C.EVENT_TIME, C.RAW).alias(_WHEN),
        )
        .transform(with_all_columns)
        .transform(with_attributes)
        .where(F.col(C.ITEM_ID).isNotNull() & ~is_unusable(F.col(C.ITEM_ID)))
    )
    names = (*ATTRIBUTES, C.PRICE, C.AVAILABLE)
    newest = attributes.groupBy(C.DS, C.ITEM_ID).agg(F.max_by(F.struct(*names), _WHEN).alias("newest"))
    nothing = {name: F.lit(None).cast("string") for name in (C.REASON, C.RAW, C.SOURCE_FILE)}
    return newest.select(C.DS, C.ITEM_ID, "newest.*").withColumns(nothing)


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
    """`prompt.item_text` as a column: the item's text."""
    parts = [_part(part) for part in prompt.parts_of(template)]
    return F.array_join(F.array_distinct(F.array(*parts)), ", ")


def _part(part: prompt.Part) -> Column:
    """One part of the template; null if one of its attributes is missing."""
    return F.lower(F.concat(*(F.lit(piece) if isinstance(piece, str) else _attribute(piece) for piece in part)))


def _attribute(attribute: prompt.Attribute) -> Column:
    """The attribute within its budget."""
    value = F.col(attribute.name)
    return value if attribute.words is None else F.regexp_replace(value, prompt.longer_than(attribute.words), "$1")
