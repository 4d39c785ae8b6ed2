"""Log and catalogue files of all formats as one frame of raw records, every value still text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.errors import SettingsError
from contracts.mapping import Source
from spark_jobs.ingest.expressions import Expression, Field, columns_of, expression, quoted, shown
from spark_jobs.ingest.expressions import Path as Names
from spark_jobs.ingest.log_files import ZSTD, LogFile, text_records

BROKEN = "broken"
"""Column that is true where a line could not be parsed as a record."""

_RAW, _BROKEN, _FILE, _PARSED = "__raw", "__broken", "__file", "__parsed"
"""Names that no log has, beside its own columns."""
_LINE = "value"

TASKS_PER_CORE = 4
LINES_PER_BATCH = 10_000

LENIENT = {
    # an expression that a value does not fit gives null, it does not end the job
    "spark.sql.ansi.enabled": "false",
    # Spark's decode knows six encodings else, and ends the job at a byte that is none of the encoding's
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.legacy.codingErrorAction": "true",
}
"""Options of Spark under which the expressions of a mapping are made."""


def read_records(
    spark: SparkSession, files: Sequence[LogFile], source: Source, fields: Sequence[Field], above: str = ""
) -> DataFrame:
    """The records of ``files``: the columns of ``fields`` as text, `raw`, `broken` and `source_file`.

    `raw` is the line as it stands in the file, or JSON for a Parquet row or an element of a JSON array. One line is one
    record, unless ``source`` lets the values of CSV go on over several. `source_file` is the path below the source's,
    after ``above``.

    Raises:
        SettingsError: Spark cannot make sense of an expression.
    """
    if not files:
        kinds = {C.RAW: "string", BROKEN: "boolean", C.SOURCE_FILE: "string"} | {
            field.column: "string" for field in fields
        }
        return spark.createDataFrame([], ", ".join(f"{name} {kind}" for name, kind in kinds.items()))
    of_format = columns_of(files)
    root = f"{source.root}/"
    frames = []
    for group in _alike(files, source):
        columns = of_format["json"] if group[0].format == "json" else group[0].columns
        made = [(field, _expression(field, group[0], columns)) for field in fields]
        paths = list(dict.fromkeys(path for _, each in made if each for path in each.paths))
        read = _read_parquet if group[0].format == "parquet" else _read_text
        frames.append(_evaluated(read(spark, group, source, paths), made, columns))
    # Spark gives file:/…, file:///… or, in an object store, something else before the folder
    path = F.url_decode(F.replace(F.col(C.SOURCE_FILE), F.lit("+"), F.lit("%2B")))
    start = F.locate(root, path) + len(root)
    below = F.concat(F.lit(above), F.substring(path, start, F.length(path)))
    return reduce(DataFrame.unionByName, frames).withColumn(C.SOURCE_FILE, below)


def text_or_null(column: Column) -> Column:
    """Text without spaces at its ends; null if nothing is left."""
    return F.nullif(F.trim(column), F.lit(""))


def finite(column: Column) -> Column:
    """Text as a number; null where it is none, or not a finite one."""
    number = column.try_cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number)


def _alike(files: Iterable[LogFile], source: Source) -> list[list[LogFile]]:
    """Files in groups that one reader can read."""
    groups: dict[object, list[LogFile]] = {}
    for file in files:
        typed = (file.columns, file.types) if file.types else ()
        groups.setdefault((file.format, _needs_python(file, source), file.header, typed), []).append(file)
    return list(groups.values())


def _expression(field: Field, file: LogFile, columns: Sequence[str]) -> Expression | None:
    """A field's expression over the columns of a group; none where it may be missing, and is."""
    if field.optional and field.text not in columns:
        return None
    return expression(field, columns, nested=file.format == "json")


def _evaluated(parsed: DataFrame, made: Sequence[tuple[Field, Expression | None]], columns: Sequence[str]) -> DataFrame:
    """The fields of parsed records."""
    kinds = dict(parsed.dtypes)
    with _lenient(parsed.sparkSession):
        values = [_value(parsed, kinds, field, each, columns).alias(field.column) for field, each in made]
        own = (F.col(_RAW).alias(C.RAW), F.col(_BROKEN).alias(BROKEN), F.col(_FILE).alias(C.SOURCE_FILE))
        return parsed.select(*own, *values)


@contextmanager
def _lenient(spark: SparkSession) -> Iterator[None]:
    """Spark with other options for what is made in the block: an expression keeps those that it was made under."""
    before = {name: spark.conf.get(name, None) for name in LENIENT}
    try:
        for name, value in LENIENT.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def _value(
    parsed: DataFrame, kinds: Mapping[str, str], field: Field, made: Expression | None, columns: Sequence[str]
) -> Column:
    """The value of a field as text."""
    if made is None:
        return F.lit(None).cast("string")
    if made.is_column and kinds.get(made.paths[0][0] if len(made.paths[0]) == 1 else "") == "string":
        return F.col(made.sql)  # most are, and asking Spark takes a moment each
    try:
        # alone it shows its type, or what is wrong with it
        ((_, kind),) = parsed.select(F.expr(made.sql).alias("value")).dtypes
    except (AnalysisException, ParseException) as error:
        reason = str(error).strip().splitlines()[0]
        raise SettingsError(
            f"{field.key} = {field.text!r} in mapping.toml means nothing to Spark: {reason} Columns found: "
            f"{shown(columns)}."
        ) from error
    return _as_text(F.expr(made.sql), kind)


def _as_text(column: Column, kind: str) -> Column:
    """A value as text; whole numbers that a writer with nulls made floats stay whole: 12, not 12.0."""
    if kind in ("float", "double"):
        whole = column.try_cast("bigint")
        return F.when(whole == column, whole.cast("string")).otherwise(column.cast("string"))
    if kind == "timestamp":
        return F.concat(column.cast("string"), F.lit("Z"))  # a moment, not a time on the shop's clock
    if kind.startswith(("struct", "array", "map")):
        return F.to_json(column)
    return column.cast("string")


def _needs_python(file: LogFile, source: Source) -> bool:
    """Whether Spark's own reader of text cannot read a file.

    It unpacks no zstd, joins no lines and splits no array, and Java may not know the encoding.
    """
    if file.format == "parquet":
        return False
    if file.is_array or (file.format == "csv" and source.multiline):
        return True
    return file.path.suffix.lower() in ZSTD or not (source.is_utf8 or source.java_encoding)


def _lines(spark: SparkSession, files: Sequence[LogFile], source: Source) -> DataFrame:
    """The lines of text files of one kind, without what ends them, and the file of each."""
    paths = [str(file.path) for file in files]
    if _needs_python(files[0], source):
        return _lines_by_python(spark, paths, source)
    lines = spark.read.text(paths, lineSep="\n").select(_LINE, F.col("_metadata.file_path").alias(_FILE))
    if not source.java_encoding:
        return lines
    with _lenient(spark):
        return lines.withColumn(_LINE, F.decode(F.col(_LINE).cast("binary"), source.java_encoding))


def _lines_by_python(spark: SparkSession, paths: Sequence[str], source: Source) -> DataFrame:
    """`_lines` by the reader that has inspected the files: some files a task, of about the same size in all."""
    import pandas as pd

    def read(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for path in (path for batch in batches for path in batch[_FILE]):
            lines = text_records(Path(path), source)
            while batch := [line.removesuffix("\n") for line in islice(lines, LINES_PER_BATCH)]:
                yield pd.DataFrame({_LINE: batch, _FILE: path})

    # a task costs more than a small file; several tasks a core even out what is left of the difference
    tasks = min(len(paths), TASKS_PER_CORE * spark.sparkContext.defaultParallelism)
    by_size = sorted(paths, key=lambda path: Path(path).stat().st_size)
    dealt = [(path,) for task in range(tasks) for path in by_size[task::tasks]]
    rows = spark.sparkContext.parallelize(dealt, tasks)
    return spark.createDataFrame(rows, f"{_FILE} string").mapInPandas(read, f"{_LINE} string, {_FILE} string")


def _read_text(spark: SparkSession, files: list[LogFile], source: Source, paths: Sequence[Names]) -> DataFrame:
    """JSON lines, or CSV files with the same header, with the columns that ``paths`` start in."""
    first = files[0]
    lines = (
        _lines(spark, files, source)
        .withColumn(_RAW, F.rtrim(F.expr(f"trim(LEADING '\ufeff' FROM {_LINE})"), F.lit("\r")))
        .where(F.btrim(_RAW, F.lit(" \t\r\n")) != "")
    )
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _BROKEN}
    if first.format == "csv":
        if first.header is not None:
            lines = lines.where(F.col(_RAW) != first.header)
        used = {path[0] for path in paths}
        first_of = {name: n for n, name in reversed(list(enumerate(first.columns)))}
        names = [
            name if name in used and first_of[name] == n else f"__c{n}" for n, name in enumerate(first.columns)
        ]  # fmt: skip
        # the character 0 stands for none
        dialect = {"sep": source.delimiter, "quote": source.quote or "\0", "escape": source.escape or "\0"}
        dialect["multiLine"] = str(source.multiline).lower()
        schema = _ddl({name: {} for name in (*names, _BROKEN)})
        parsed = F.from_csv(_RAW, schema, options | dialect)
    else:
        parsed = F.from_json(_RAW, _ddl(_tree(paths) | {_BROKEN: {}}), options)
    return lines.withColumn(_PARSED, parsed).select(
        _RAW,
        (F.col(_PARSED).isNull() | F.col(f"{_PARSED}.{_BROKEN}").isNotNull()).alias(_BROKEN),
        *(F.col(f"{_PARSED}.{quoted(name)}").alias(name) for name in dict.fromkeys(path[0] for path in paths)),
        _FILE,
    )


def _read_parquet(spark: SparkSession, files: list[LogFile], _: Source, paths: Sequence[Names]) -> DataFrame:
    """Parquet files with the same columns and types."""
    # pandas writes times in nanoseconds, which Spark reads as whole numbers or not at all
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    rows = spark.read.parquet(*(str(file.path) for file in files))
    kinds = dict(rows.dtypes)
    nanoseconds = {
        name: F.timestamp_micros(F.expr(f"{quoted(name)} div 1000"))
        for name, kind in zip(files[0].columns, files[0].types, strict=True)
        if kind.startswith("timestamp[ns") and kinds[name] == "bigint"
    }
    rows = rows.withColumns(nanoseconds)
    kinds = dict(rows.dtypes)
    # a time of pandas without a zone is one on the shop's clock
    local = {
        name
        for name, kind in zip(files[0].columns, files[0].types, strict=True)
        if kind.startswith("timestamp[ns") and "tz=" not in kind
    }

    def column(name: str) -> Column:
        if kinds[name].startswith("struct"):
            return F.col(quoted(name))  # of whose values an expression can name one
        return _as_text(F.col(quoted(name)), "" if name in local else kinds[name])

    return rows.select(
        F.to_json(F.struct(*(F.col(quoted(name)) for name in kinds))).alias(_RAW),
        F.lit(False).alias(_BROKEN),
        *(column(name).alias(name) for name in dict.fromkeys(path[0] for path in paths)),
        F.col("_metadata.file_path").alias(_FILE),
    )


Tree = dict[str, Any]
"""Names and what is below each; nothing below text."""


def _tree(paths: Iterable[Names]) -> Tree:
    tree: Tree = {}
    for path in paths:
        below = tree
        for name in path:
            below = below.setdefault(name, {})
    return tree


def _ddl(tree: Tree, colon: str = " ") -> str:
    """A schema whose values are all text."""
    kinds = {name: f"struct<{_ddl(below, ':')}>" if below else "string" for name, below in tree.items()}
    return ", ".join(f"{quoted(name)}{colon}{kind}" for name, kind in kinds.items())
