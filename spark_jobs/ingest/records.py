"""Log and catalogue files of all formats as one frame of raw records, every value still text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from spark_jobs.ingest.log_files import LogFile

BROKEN = "broken"
"""Column that is true where a line could not be parsed as a record."""
_PARSED = "_parsed"
_LINE = "value"


def read_records(spark: SparkSession, files: Sequence[LogFile], columns: Sequence[str], landing: Path) -> DataFrame:
    """The records of ``files``: ``columns`` as text (null where absent), `raw`, `broken` and `source_file`.

    `raw` is the line as it stands in the file, or JSON for a Parquet row. One line is one record: a CSV value
    with a line break in it makes two broken ones.
    """
    frames = [
        _read_parquet(spark, group, columns) if group[0].format == "parquet" else _read_text(spark, group, columns)
        for group in _alike(files)
    ]
    # Spark gives file:/…, file:///… or, in an object store, something else before the folder
    below = F.substring_index(F.url_decode(C.SOURCE_FILE), f"{landing}/", -1)
    return reduce(DataFrame.unionByName, frames).withColumn(C.SOURCE_FILE, below)


def text_or_null(column: Column) -> Column:
    """Text without spaces at its ends; null if nothing is left."""
    return F.nullif(F.trim(column), F.lit(""))


def finite(column: Column) -> Column:
    """Text as a number; null where it is none, or not a finite one."""
    number = column.try_cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number)


def _alike(files: Iterable[LogFile]) -> list[list[LogFile]]:
    """Files in groups that one reader can read."""
    groups: dict[object, list[LogFile]] = {}
    for file in files:
        key = (file.format, file.header, (file.columns, file.types) if file.types else ())
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _read_text(spark: SparkSession, files: list[LogFile], columns: Sequence[str]) -> DataFrame:
    """JSON lines, or CSV files with the same header."""
    first = files[0]
    lines = (
        spark.read.text([str(file.path) for file in files], lineSep="\n")
        .select(
            F.rtrim(F.expr(f"trim(LEADING '\ufeff' FROM {_LINE})"), F.lit("\r")).alias(C.RAW),
            F.col("_metadata.file_path").alias(C.SOURCE_FILE),
        )
        .where(F.btrim(C.RAW, F.lit(" \t\r\n")) != "")
    )
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": BROKEN}
    if first.format == "csv":
        lines = lines.where(F.col(C.RAW) != first.header)
        seen = [*dict.fromkeys(columns)]
        names = [
            name if name in seen and name not in first.columns[:n] else f"_c{n}" for n, name in enumerate(first.columns)
        ]
        parsed = F.from_csv(C.RAW, _ddl([*names, BROKEN]), options | {"escape": '"'})
    else:
        names = list(columns)
        parsed = F.from_json(C.RAW, _ddl([*names, BROKEN]), options)
    return lines.withColumn(_PARSED, parsed).select(
        C.RAW,
        (F.col(_PARSED).isNull() | F.col(f"{_PARSED}.{BROKEN}").isNotNull()).alias(BROKEN),
        *(
            F.col(f"{_PARSED}.{name}").alias(name) if name in names else F.lit(None).cast("string").alias(name)
            for name in columns
        ),
        C.SOURCE_FILE,
    )


def _read_parquet(spark: SparkSession, files: list[LogFile], columns: Sequence[str]) -> DataFrame:
    """Parquet files with the same columns and types."""
    # pandas writes times in nanoseconds, which Spark reads as whole numbers or not at all
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    rows = spark.read.parquet(*(str(file.path) for file in files))
    nanoseconds = {
        name
        for name, kind in zip(files[0].columns, files[0].types, strict=True)
        if kind.startswith("timestamp[ns") and dict(rows.dtypes)[name] == "bigint"
    }
    rows = rows.withColumns({name: F.timestamp_micros(F.expr(f"`{name}` div 1000")) for name in nanoseconds})
    kinds = dict(rows.dtypes)
    return rows.select(
        F.to_json(F.struct(*(F.col(f"`{name}`") for name in kinds))).alias(C.RAW),
        F.lit(False).alias(BROKEN),
        *(_as_text(name, kinds.get(name)).alias(name) for name in columns),
        F.col("_metadata.file_path").alias(C.SOURCE_FILE),
    )


def _as_text(name: str, kind: str | None) -> Column:
    """A column as text; whole numbers that a writer with nulls made floats stay whole: 12, not 12.0."""
    if kind is None:
        return F.lit(None).cast("string")
    column = F.col(f"`{name}`")
    if kind in ("float", "double"):
        whole = column.try_cast("bigint")
        return F.when(whole == column, whole.cast("string")).otherwise(column.cast("string"))
    return column.cast("string")


def _ddl(names: Sequence[str]) -> str:
    """A schema of text columns."""
    return ", ".join(f"`{name}` string" for name in names)
