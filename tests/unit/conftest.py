"""A small lake without Spark: literal rows in real Delta tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from spark_jobs import storage
from spark_jobs.arrow_types import TYPES
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import Table


@dataclass(frozen=True)
class ArrowLake:
    """Tables of a home of their own."""

    settings: Settings

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Makes ``rows`` the whole content of a table; columns that a row leaves out are null."""
        schema = pa.schema([(column.name, TYPES[column.type]) for column in table.columns])
        filled = [{name: row.get(name) for name in table.names} for row in rows]
        deltalake.write_deltalake(
            str(storage.path(self.settings, table)),
            pa.Table.from_pylist(filled, schema),
            mode="overwrite",
            partition_by=list(table.partition_by) or None,
        )


@pytest.fixture
def arrow_lake(settings: Settings) -> ArrowLake:
    """The test's own lake."""
    return ArrowLake(settings)
