"""The only Delta reads and writes: every table goes through its contract on the way in and out.

Large tables go through Spark, small ones (`arrow`, `small_rows`, `replace_small`) through the Delta library alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import Table

if TYPE_CHECKING:
    import deltalake
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyspark.sql import DataFrame, SparkSession


def path(settings: Settings, table: Table) -> Path:
    """Folder of a table."""
    return settings.lake / table.name


def exists(settings: Settings, table: Table) -> bool:
    """Whether a table has been written yet."""
    return (path(settings, table) / "_delta_log").is_dir()


def read(spark: SparkSession, settings: Settings, table: Table) -> DataFrame:
    """A table as a frame, checked against its contract.

    Raises:
        InputError: the table was never written, or has other columns.
    """
    _require(settings, table)
    frame = spark.read.format("delta").load(str(path(settings, table)))
    table.check(dict(frame.dtypes), f"Table {path(settings, table)}")
    return frame


def empty_if_missing(spark: SparkSession, settings: Settings, table: Table) -> DataFrame:
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
    writer = frame.write.format("delta").mode("overwrite")
    if table.partition_by:
        writer = writer.partitionBy(*table.partition_by)
    if note:
        writer = writer.option("userMetadata", json.dumps(note, sort_keys=True, default=str))
    if exists(settings, table) and where:
        writer = writer.option("replaceWhere", where)
    with _writing(settings, table):
        writer.save(str(path(settings, table)))


def replace_small(settings: Settings, table: Table, rows: Sequence[tuple[object, ...]], where: str) -> None:
    """`replace` without Spark, for a handful of rows: a Spark write of one row takes seconds, this a moment.

    ``rows`` are tuples in the order of the table's columns; each must satisfy ``where``, which Delta checks.
    """
    import deltalake
    import pyarrow as pa

    from spark_jobs.arrow_types import schema

    made = pa.Table.from_pylist([dict(zip(table.names, row, strict=True)) for row in rows], schema(table))
    with _writing(settings, table):
        deltalake.write_deltalake(
            str(path(settings, table)),
            made,
            mode="overwrite",
            partition_by=list(table.partition_by) or None,
            predicate=where if exists(settings, table) else None,
        )


def version(settings: Settings, table: Table) -> int:
    """Newest version of a table."""
    return open_table(settings, table).version()


def newest_note(settings: Settings, table: Table) -> dict[str, Any] | None:
    """The note of a table's newest commit, if it has one."""
    (commit,) = open_table(settings, table).history(1)
    note = commit.get("userMetadata")
    return dict(json.loads(note)) if note else None


def open_table(settings: Settings, table: Table) -> deltalake.DeltaTable:
    """A table without Spark, for what reads only small tables.

    Raises:
        InputError: the table was never written.
    """
    import deltalake

    _require(settings, table)
    return deltalake.DeltaTable(path(settings, table))


def arrow(
    settings: Settings, table: Table, columns: Sequence[str] | None = None, equal: Mapping[str, object] | None = None
) -> pa.Table:
    """Rows of a table without Spark, those whose columns have the values of ``equal``.

    Raises:
        InputError: the table was never written.
    """
    rows = open_table(settings, table).to_pyarrow_dataset()
    return rows.to_table(columns=list(columns) if columns else None, filter=_with(equal))


def count(settings: Settings, table: Table, equal: Mapping[str, object] | None = None) -> int:
    """Number of rows, as `arrow` selects them; 0 where the table was never written."""
    if not exists(settings, table):
        return 0
    return int(open_table(settings, table).to_pyarrow_dataset().count_rows(filter=_with(equal)))


def small_rows(settings: Settings, table: Table, equal: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    """Rows of a small table as dictionaries, as `arrow` selects them; none where it was never written."""
    if not exists(settings, table):
        return []
    return list(arrow(settings, table, None, equal).to_pylist(maps_as_pydicts="strict"))


def _with(equal: Mapping[str, object] | None) -> ds.Expression:
    """The filter for rows whose columns have the values of ``equal``."""
    import pyarrow.dataset as ds

    wanted = ds.scalar(value=True)
    for name, value in (equal or {}).items():
        wanted = wanted & (ds.field(name) == value)
    return wanted


def _require(settings: Settings, table: Table) -> None:
    if not exists(settings, table):
        raise InputError(f"Table {path(settings, table)} does not exist: run the step that writes {table.name} first.")


@contextmanager
def _writing(settings: Settings, table: Table) -> Iterator[None]:
    """One writer a table: on a plain file system two drivers could both report success and lose a commit."""
    locks = settings.home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{table.name.replace('/', '-')}.lock"):
        yield
