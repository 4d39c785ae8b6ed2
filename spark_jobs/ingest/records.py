"""Log and catalogue files of all formats as one frame of raw records, every value still text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.columns import Columns as C
from contracts.errors import InputError, SettingsError
from contracts.mapping import Source
from contracts.places import like
from spark_jobs.ingest.expressions import Expression, Field, columns_of, expression, quoted, shown
from spark_jobs.ingest.expressions import Path as Names
from spark_jobs.ingest.log_files import LogFile, as_glob, is_misread_by_hadoop, text_records
from spark_jobs.ingest.text_files import BLANK, BOM, MAX_RECORD, ZSTD

BROKEN = "broken"
"""Column that is true where a line could not be parsed as a record."""

_RAW, _BROKEN, _FILE, _PARSED = "__raw", "__broken", "__file", "__parsed"
"""Names that no log has, beside its own columns."""
_LINE, _LONG = "value", "__long"
_RECORD, _END = "record", "end"
"""What a line of JSON is wrapped in, to see whether it ends where its record does."""

MAX_ID = 1024
"""Characters of the longest id."""
HIDDEN = r"[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd]|^\p{Z}+$"
"""What makes an id unusable: characters that control, have no width, turn the direction of writing or stand for bytes
that could not be read; nothing but spaces of whatever width."""
SHOWN_OF_LONG = 1000
"""So many characters are kept of a record that is too long."""
NO_NUMBERS = ('"NaN"', '"Infinity"', '"-Infinity"')
"""What Spark makes of such numbers in JSON where it reads text."""

TASKS_PER_CORE = 4
LINES_PER_BATCH, CHARACTERS_PER_BATCH = 10_000, 1 << 23

LENIENT = {
    # an expression that a value does not fit gives null, it does not end the job
    "spark.sql.ansi.enabled": "false",
    # Spark's decode knows six encodings else, and ends the job at a byte that is none of the encoding's
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.legacy.codingErrorAction": "true",
    # columns whose names differ by case are two columns
    "spark.sql.caseSensitive": "true",
}
"""Options of Spark under which records are read, and the expressions of a mapping are made."""
PERMISSIVE = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _BROKEN}


def read_records(
    spark: SparkSession, files: Sequence[LogFile], source: Source, fields: Sequence[Field], above: str = ""
) -> DataFrame:
    """The records of ``files``: the columns of ``fields`` as text, `raw`, `broken` and `source_file`.

    `raw` is the line as it stands in the file, or JSON for a Parquet row or an element of a JSON array. One line is one
    record, unless ``source`` lets the values of CSV go on over several. Of a record longer than `MAX_RECORD`, which is
    broken, `raw` is the beginning. `source_file` is the path below the source's, after ``above``.

    Raises:
        InputError: Spark cannot read a Parquet file.
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
        with _lenient(spark):
            frames.append(_evaluated(read(spark, group, source, paths), made, columns))
    # Spark gives file:/…, file:///… or, in an object store, something else before the folder
    path = F.col(C.SOURCE_FILE)
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


def is_unusable(identifier: Column) -> Column:
    """Whether an id is too long to be a key, or has what nobody sees (`HIDDEN`)."""
    return (F.length(identifier) > MAX_ID) | identifier.rlike(HIDDEN)


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
        value = F.col(made.sql)  # most are, and asking Spark takes a moment each
        return F.when(~value.isin(*NO_NUMBERS), value)
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
        return F.when(whole == column, whole.cast("string")).when(~F.isnan(column), column.cast("string"))
    if kind == "timestamp":
        return F.concat(column.cast("string"), F.lit("Z"))  # a moment, not a time on the shop's clock
    if kind.startswith(("struct", "array", "map")):
        return F.to_json(column)
    return F.make_valid_utf8(column.cast("string")) if kind == "binary" else column.cast("string")


def _needs_python(file: LogFile, source: Source) -> bool:
    """Whether Spark's own reader of text cannot read a file.

    It unpacks no zstd, joins no lines and splits no array, and takes some names for no path; and Java may not know the
    encoding.
    """
    if file.format == "parquet":
        return False
    if file.is_array or (file.format == "csv" and source.multiline):
        return True
    if file.path.suffix.lower() in ZSTD or is_misread_by_hadoop(file.path):
        return True
    return not (source.is_utf8 or source.java_encoding)


def _lines(spark: SparkSession, files: Sequence[LogFile], source: Source) -> DataFrame:
    """The lines of text files of one kind, without what ends them, and the file of each."""
    if _needs_python(files[0], source):
        return _lines_by_python(spark, [str(file.path) for file in files], source)
    lines = spark.read.text([as_glob(file.path) for file in files], lineSep="\n").select(
        _LINE, _read_file().alias(_FILE)
    )
    if source.is_utf8 or not source.java_encoding:
        return lines
    return lines.withColumn(_LINE, F.decode(F.col(_LINE).cast("binary"), source.java_encoding))


def _read_file() -> Column:
    """The path of the file that Spark's own reader has a row from; in `_metadata` it is part of a URL."""
    return F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))


def _lines_by_python(spark: SparkSession, paths: Sequence[str], source: Source) -> DataFrame:
    """`_lines` by the reader that has inspected the files: some files a task, of about the same size in all."""
    import pandas as pd

    def read(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for path in (path for batch in batches for path in batch[_FILE]):
            for batch in _batches(text_records(like(source.path, path), source)):
                yield pd.DataFrame({_LINE: batch, _FILE: path})

    # a task costs more than a small file; several tasks a core even out what is left of the difference
    tasks = min(len(paths), TASKS_PER_CORE * spark.sparkContext.defaultParallelism)
    by_size = sorted(paths, key=lambda path: like(source.path, path).stat().st_size)
    dealt = [(path,) for task in range(tasks) for path in by_size[task::tasks]]
    rows = spark.sparkContext.parallelize(dealt, tasks)
    return spark.createDataFrame(rows, f"{_FILE} string").mapInPandas(read, f"{_LINE} string, {_FILE} string")


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines without their ends, so many at a time as memory holds well, however long they are."""
    batch: list[str] = []
    length = 0
    for line in lines:
        batch.append(line.removesuffix("\n"))
        length += len(line)
        if len(batch) == LINES_PER_BATCH or length > CHARACTERS_PER_BATCH:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch


def _is_blank(line: Column) -> Column:
    """Whether a line is no record, as the count of a file's records takes it (`spark_jobs/ingest/log_files.py`)."""
    return F.btrim(line, F.lit(BOM + BLANK)) == ""


def _is_long(record: Column) -> Column:
    return F.octet_length(record) > MAX_RECORD


def _beginning(record: Column) -> Column:
    """What is kept of a record that is too long; the hash keeps apart those that begin alike."""
    told = (F.octet_length(record).cast("string"), F.lit(" bytes, sha-256 "), F.sha2(record, 256))
    return F.concat(F.substring(record, 1, SHOWN_OF_LONG), F.lit(" … ("), *told, F.lit(")"))


def _read_text(spark: SparkSession, files: list[LogFile], source: Source, paths: Sequence[Names]) -> DataFrame:
    """JSON lines, or CSV files with the same header, with the columns that ``paths`` start in."""
    first = files[0]
    line = F.col(_LINE)
    raw = F.rtrim(F.expr(f"trim(LEADING '{BOM}' FROM {_LINE})"), F.lit("\r"))
    lines = (
        _lines(spark, files, source)
        .where(~_is_blank(line))
        .withColumn(_LONG, _is_long(line))
        .select(F.when(F.col(_LONG), _beginning(line)).otherwise(raw).alias(_RAW), _LONG, _FILE)
    )
    if first.header is not None:
        lines = lines.where(F.col(_RAW) != first.header)
    if any(file.repeated for file in files):
        lines = lines.unionByName(_repeated_headers(spark, files))
    readable = F.when(~F.col(_LONG), F.col(_RAW))
    parsed = _parsed_csv(readable, first, source, paths) if first.format == "csv" else _parsed_json(readable, paths)
    lines = lines.withColumn(_PARSED, parsed)
    record, broken = F.col(_PARSED), F.col(f"{_PARSED}.{_BROKEN}").isNotNull()
    if first.format == "json":
        record = record[_RECORD]
        broken |= F.col(f"{_PARSED}.{_END}").isNull()
    return lines.select(
        _RAW,
        (record.isNull() | broken).alias(_BROKEN),
        *(record[name].alias(name) for name in dict.fromkeys(path[0] for path in paths)),
        _FILE,
    )


def _repeated_headers(spark: SparkSession, files: Iterable[LogFile]) -> DataFrame:
    """A row for each line that is the header of its file once more: no more to be parsed than one that is too long."""
    rows = [(str(file.path), file.header, file.repeated) for file in files if file.repeated]
    frame = spark.createDataFrame(rows, f"{_FILE} string, header string, repeated int")
    again = F.explode(F.array_repeat("header", F.col("repeated")))
    return frame.select(again.alias(_RAW), F.lit(True).alias(_LONG), _FILE)


def _parsed_csv(line: Column, first: LogFile, source: Source, paths: Sequence[Names]) -> Column:
    """Lines of CSV as structures of text."""
    used = {path[0] for path in paths}
    first_of = {name: n for n, name in reversed(list(enumerate(first.columns)))}
    names = [
        name if name in used and first_of[name] == n else f"__c{n}" for n, name in enumerate(first.columns)
    ]  # fmt: skip
    # the character 0 stands for none
    dialect = {"sep": source.delimiter, "quote": source.quote or "\0", "escape": source.escape or "\0"}
    dialect["multiLine"] = str(source.multiline).lower()
    # more than that no line can have, and at one more Spark's reader would end the job
    dialect["maxColumns"] = str(MAX_RECORD + 1)
    return F.from_csv(line, _ddl({name: {} for name in (*names, _BROKEN)}), PERMISSIVE | dialect)


def _parsed_json(line: Column, paths: Sequence[Names]) -> Column:
    """Lines of JSON, each in `_RECORD`, with something in `_END` if nothing follows the record in its line.

    Spark's reader passes over what follows: where two files were joined that may be another record.
    """
    wrapped = F.concat(F.lit(f'{{"{_RECORD}":'), line, F.lit(f',"{_END}":0}}'))
    return F.from_json(wrapped, _ddl({_RECORD: _tree(paths), _END: {}, _BROKEN: {}}), PERMISSIVE)


def _read_parquet(spark: SparkSession, files: list[LogFile], _: Source, paths: Sequence[Names]) -> DataFrame:
    """Parquet files with the same columns and types."""
    # pandas writes times in nanoseconds, which Spark reads as whole numbers or not at all
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        rows = spark.read.parquet(*(as_glob(file.path) for file in files))
    except AnalysisException as error:
        raise InputError(
            f"{files[0].path}: Spark cannot read its columns ({str(error).strip().splitlines()[0]}): "
            f"{shown([f'{name} {kind}' for name, kind in zip(files[0].columns, files[0].types, strict=True)])}. "
            "Deliver the file again without that one, or as another type."
        ) from error
    kinds = dict(rows.dtypes)
    rows = rows.withColumns(
        {name: F.make_valid_utf8(F.col(quoted(name))) for name, kind in kinds.items() if kind == "string"}
    )
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

    raw = F.to_json(F.struct(*(F.col(quoted(name)) for name in kinds)))
    return rows.select(
        F.when(_is_long(raw), _beginning(raw)).otherwise(raw).alias(_RAW),
        _is_long(raw).alias(_BROKEN),
        *(column(name).alias(name) for name in dict.fromkeys(path[0] for path in paths)),
        _read_file().alias(_FILE),
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
