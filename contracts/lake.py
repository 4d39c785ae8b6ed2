"""The only Delta reads and writes: every table meets its contract on the way in and out.

Large tables go through Spark (`read`, `replace`), small ones through the Delta library alone (`dataset`, `arrow`,
`rows`, `replace_small`). A table exists when it has a commit.

A column is added to a contract as one that can be null. A table that was made before it, and a version of one, reads it
as null; the next write adds it to the table (Delta's schema evolution). Nothing has to be migrated by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from contracts import places, s3
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import midnight
from contracts.locks import locked
from contracts.settings import Settings
from contracts.tables import Table

if TYPE_CHECKING:
    import deltalake
    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyspark.sql import DataFrame, SparkSession

    Where: TypeAlias = Mapping[str, object] | pads.Expression | None
    """Which rows: those whose columns have these values, those of an expression, or all."""

COMMIT = re.compile(r"\d{20}\.(json|checkpoint\..*parquet)|_last_checkpoint")
"""Names of the files in `_delta_log` that make a commit; a write that was killed leaves other ones."""


COUNT = "rows"
"""Column of `counts`."""


def path(settings: Settings, table: Table) -> Path:
    """Folder of a table."""
    return settings.lake / table.name


def exists(settings: Settings, table: Table) -> bool:
    """Whether a table has a commit."""
    return has_commit(path(settings, table))


def has_commit(folder: Path) -> bool:
    """Whether the folder of a table has a commit."""
    return any(COMMIT.fullmatch(name) for name in places.names(folder / "_delta_log"))


def delta_options(settings: Settings, folder: Path) -> dict[str, str] | None:
    """How the Delta library reaches a table; None for a folder of this machine."""
    return s3.delta_options(settings.storage.store) if places.is_remote(folder) else None


def known_before(end: date, column: Callable[[str], Any], zone: tzinfo) -> Any:
    """The one as-of filter over `events`: what was known when ``end`` began in the shop's time zone, as a predicate.

    An event is known if the log of an earlier day brought it; that it also happened before ``end`` follows for clean
    events, and is asked all the same. ``column`` is what makes a column of a name: `pyspark.sql.functions.col`, or
    `pyarrow.dataset.field`.
    """
    return (column(C.DS) < end) & (column(C.EVENT_TIME) < midnight(end, zone))


def read(spark: SparkSession, settings: Settings, table: Table, at: int | None = None) -> DataFrame:
    """A table as a frame; ``at`` is the version that is read, None the newest.

    Raises:
        InputError: the table was never written, has other columns than its contract, or has that version no more.
    """
    from pyspark.sql import functions

    _require(settings, table)
    reader = spark.read.format("delta")
    if at is not None:
        _open(settings, table, at)
        reader = reader.option("versionAsOf", at)
    frame = reader.load(str(path(settings, table)))
    actual = dict(frame.dtypes)
    table.check(actual, f"Table {path(settings, table)}", may_be_older=True)
    lacking = {each.name: functions.lit(None).cast(each.type) for each in table.columns if each.name not in actual}
    return frame.withColumns(lacking) if lacking else frame


def read_or_empty(spark: SparkSession, settings: Settings, table: Table) -> DataFrame:
    """A table as a frame; without rows where it was never written."""
    if exists(settings, table):
        return read(spark, settings, table)
    return spark.createDataFrame([], table.ddl)


def replace(
    frame: DataFrame, settings: Settings, table: Table, where: str | None, note: Mapping[str, object] | None = None
) -> None:
    """Replaces, in one commit, the rows where ``where`` holds (all rows for None) by those of ``frame``.

    Every row of ``frame`` must satisfy ``where``: Delta checks it. ``note`` goes into the commit as user
    metadata. Running it twice leaves the same rows.
    """
    frame = frame.select(*table.names)
    table.check(dict(frame.dtypes), f"Rows for table {table.name}")
    # the frame has the columns of the contract: what a table lacks that was made before one, it has from now on
    writer = frame.write.format("delta").mode("overwrite").option("mergeSchema", "true")
    if table.partition_by:
        writer = writer.partitionBy(*table.partition_by)
    if note:
        writer = writer.option("userMetadata", json.dumps(note, sort_keys=True, default=str))
    with _writing(settings, table):
        if exists(settings, table) and where:
            writer = writer.option("replaceWhere", where)
        writer.save(str(path(settings, table)))


def replace_small(settings: Settings, table: Table, rows: Sequence[tuple[object, ...]], where: str) -> None:
    """`replace` without Spark, for a handful of rows: a Spark write of one row takes seconds, this a moment.

    ``rows`` are tuples in the order of the table's columns; each must satisfy ``where``, which Delta checks.
    """
    import deltalake
    import pyarrow as pa

    from contracts.arrow_types import schema

    made = pa.Table.from_pylist([dict(zip(table.names, row, strict=True)) for row in rows], schema(table))
    with _writing(settings, table):
        predicate = where if exists(settings, table) else None
        deltalake.write_deltalake(data=made, mode="overwrite", predicate=predicate, **_write_options(settings, table))


def add(settings: Settings, table: Table, rows: pa.Table, where: Where) -> None:
    """Adds those of the rows whose key the table does not have, without Spark: running it twice adds nothing.

    ``where`` holds for all of them: keys are looked for only among rows that have the same.
    """
    import deltalake
    import numpy as np
    import pyarrow as pa

    from contracts.arrow_types import schema

    place = "_place"
    with _writing(settings, table):
        if exists(settings, table):
            there = arrow(settings, table, table.key, where)
            # Arrow joins no columns that are lists
            keys = rows.select(table.key).append_column(place, pa.array(np.arange(rows.num_rows)))
            new = keys.join(there, keys=list(table.key), join_type="left anti")
            rows = rows.take(new[place].sort())
        deltalake.write_deltalake(data=rows.cast(schema(table)), mode="append", **_write_options(settings, table))


def _write_options(settings: Settings, table: Table) -> dict[str, Any]:
    """How rows are written into a table without Spark."""
    folder = path(settings, table)
    return {
        "table_or_uri": str(folder),
        "schema_mode": "merge",
        "partition_by": list(table.partition_by) or None,
        "storage_options": delta_options(settings, folder),
    }


def version(settings: Settings, table: Table) -> int:
    """Newest version of a table."""
    return _open(settings, table).version()


def partitions(settings: Settings, table: Table, at: int | None = None) -> list[dict[str, str]]:
    """The values of the partition columns, as text, of each partition that has rows; ``at`` as of `read`."""
    return [dict(each) for each in _open(settings, table, at).partitions()]


def newest_commit(settings: Settings, table: Table) -> str:
    """Name of a table's newest commit, as a file; empty where there is none. Light, for who looks over and over."""
    there = places.names(path(settings, table) / "_delta_log")
    return max((name for name in there if name.endswith(".json") and COMMIT.fullmatch(name)), default="")


def note_with(settings: Settings, table: Table, values: Mapping[str, object]) -> dict[str, Any] | None:
    """The newest note of a table's commits that has these values; None where the log keeps no such commit."""
    notes = (_note(commit) for commit in _open(settings, table).history())
    return next((note for note in notes if note and values.items() <= note.items()), None)


def _note(commit: Mapping[str, Any]) -> dict[str, Any] | None:
    note = commit.get("userMetadata")
    return dict(json.loads(note)) if note else None


def dataset(settings: Settings, table: Table, at: int | None = None) -> pads.Dataset:
    """A table without Spark, for what reads only small tables or a few columns; ``at`` as of `read`.

    Raises:
        InputError: the table was never written, has other columns than its contract, or has that version no more.
    """
    import pyarrow as pa
    import pyarrow.fs as pafs

    from contracts.arrow_types import schema, spark_types

    opened, folder = _open(settings, table, at), path(settings, table)
    actual = spark_types(opened.schema())
    table.check(actual, f"Table {folder}", may_be_older=True)
    # Arrow closes deltalake's own file handles, which are Python's, in threads: that can abort Python at its end
    store, within = (
        (s3.arrow_files(settings.storage.store), places.key(folder))
        if places.is_remote(folder)
        else (pafs.LocalFileSystem(), str(folder))
    )
    files = pafs.SubTreeFileSystem(within, store)
    made = opened.to_pyarrow_dataset(filesystem=files)
    lacking = [field for field in schema(table) if field.name not in actual]
    return made.replace_schema(pa.schema([*made.schema, *lacking])) if lacking else made


def arrow(
    settings: Settings,
    table: Table,
    columns: Sequence[str] | None = None,
    where: Where = None,
    *,
    at: int | None = None,
) -> pa.Table:
    """Rows of a table without Spark; ``at`` as of `read`.

    Raises:
        InputError: as of `dataset`.
    """
    return dataset(settings, table, at).to_table(columns=list(columns) if columns else None, filter=_expression(where))


def count(settings: Settings, table: Table, where: Where = None) -> int:
    """Number of rows; 0 where the table was never written."""
    if not exists(settings, table):
        return 0
    return int(dataset(settings, table).count_rows(filter=_expression(where)))


def rows(settings: Settings, table: Table, where: Where = None) -> list[dict[str, Any]]:
    """Rows of a small table as dictionaries; none where it was never written."""
    if not exists(settings, table):
        return []
    return list(arrow(settings, table, None, where).to_pylist(maps_as_pydicts="strict"))


def parts(settings: Settings, table: Table, columns: Sequence[str], where: Where = None) -> Iterator[pa.Table]:
    """Rows of a table in its own order, a row group of a file at a time: of a large table no more is in memory.

    For what looks at many rows and keeps few of them. Whoever has enough may leave.

    Raises:
        InputError: as of `dataset`.
    """
    return _parts(dataset(settings, table), columns, where)


def few(settings: Settings, table: Table, columns: Sequence[str], where: Where) -> pa.Table:
    """`arrow` for few rows of a large table, read as `parts`."""
    import pyarrow as pa

    data = dataset(settings, table)
    nothing = pa.schema([data.schema.field(name) for name in columns]).empty_table()
    return pa.concat_tables([nothing, *_parts(data, columns, where)])


def counts(settings: Settings, table: Table, columns: Sequence[str], where: Where = None) -> pa.Table:
    """Number of rows, in a column `COUNT`, by the values of ``columns``; counted while they are read, as `parts`."""
    import pyarrow as pa

    data = dataset(settings, table)
    nothing = pa.schema([data.schema.field(name) for name in columns]).empty_table()
    counted = _sums(nothing.append_column(COUNT, pa.array([], pa.int64())), columns)
    for part in _parts(data, columns, where):
        ones = part.append_column(COUNT, pa.repeat(pa.scalar(1, pa.int64()), part.num_rows))
        counted = _sums(pa.concat_tables([counted, _sums(ones, columns)]), columns)
    return counted


def _sums(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    return rows.group_by(list(columns)).aggregate([(COUNT, "sum")]).rename_columns([*columns, COUNT])


def _parts(data: pads.Dataset, columns: Sequence[str], where: Where) -> Iterator[pa.Table]:
    # not Dataset.to_batches or head: they read far ahead in the background, which can hang, or abort Python at its end
    wanted = _expression(where)
    for file in data.get_fragments(filter=wanted):
        for group in file.split_by_row_group(filter=wanted, schema=data.schema):
            yield group.to_table(schema=data.schema, columns=list(columns), filter=wanted)


def some_rows(
    settings: Settings, table: Table, columns: Sequence[str], where: Where, at_most: int
) -> list[dict[str, Any]]:
    """At most so many rows, from as few files as it takes, in the table's own order."""
    chosen: list[dict[str, Any]] = []
    for part in parts(settings, table, columns, where):
        chosen += part.slice(0, at_most - len(chosen)).to_pylist()
        if len(chosen) >= at_most:
            break
    return chosen


def _open(settings: Settings, table: Table, at: int | None = None) -> deltalake.DeltaTable:
    import deltalake
    from deltalake.exceptions import DeltaError

    _require(settings, table)
    folder = path(settings, table)
    options = delta_options(settings, folder)
    if at is None:
        return deltalake.DeltaTable(str(folder), storage_options=options)
    try:
        opened = deltalake.DeltaTable(str(folder), version=at, storage_options=options)
    except DeltaError as error:
        raise InputError(_gone(folder, at, "its log does not reach back to it")) from error
    if lost := places.lacking(folder, opened.file_uris()):
        raise InputError(_gone(folder, at, f"{lost} of its files were cleaned away"))
    return opened


def _gone(folder: Path, at: int, why: str) -> str:
    return (
        f"Version {at} of table {folder} cannot be read any more: {why}. Run again what noted that version; for a "
        "model that is the whole of fine_tune_model, from build_splits on."
    )


def _expression(where: Where) -> pads.Expression | None:
    """``where`` as Arrow takes it."""
    import pyarrow.dataset as pads

    if where is None or isinstance(where, pads.Expression):
        return where
    wanted = pads.scalar(value=True)
    for name, value in where.items():
        wanted = wanted & (pads.field(name) == value)
    return wanted


def _require(settings: Settings, table: Table) -> None:
    if not exists(settings, table):
        raise InputError(f"Table {path(settings, table)} does not exist: run the step that writes {table.name} first.")


@contextmanager
def _writing(settings: Settings, table: Table) -> Iterator[None]:
    """One writer a table: on a plain file system two drivers could both report success and lose a commit."""
    folder = path(settings, table)
    with locked(settings, table.name.replace("/", "-")):
        if folder.is_dir() and not has_commit(folder):
            # a first write was killed before its commit: Spark and deltalake refuse the folder as it is
            places.remove(folder)
        yield
