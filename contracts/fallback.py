"""The row of `recommendations` for whoever has no row of their own: what it is called, and how the others are told.

It stands in the same table under a user id that no user can have (`spark_jobs.ingest.events` refuses it), so that one
commit publishes it with the night, and one look-up finds either row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts.columns import Columns as C

FALLBACK_USER = "__fallback__"
"""User id of the row that an app reads for a user who has none."""


def is_own(column: Callable[[str], Any]) -> Any:
    """The one predicate over `recommendations` for the lists of users: all rows but the one to fall back on.

    ``column`` is what makes a column of a name: `pyspark.sql.functions.col`, or `pyarrow.dataset.field`.
    """
    return column(C.USER_ID) != FALLBACK_USER
