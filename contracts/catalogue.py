"""The catalogue as of a night, from the table `items`, which is versioned by day: the one place that knows how.

A whole catalogue replaces everything before its day; a day's log that names items adds to what was there, and what it
says of an item replaces what was known of it. A night before the first version gets the first one: nothing better is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from contracts import lake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import ITEMS

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


NEVER = date(1000, 1, 1)
"""Before all days; one that Java writes as Python does."""


@dataclass(frozen=True)
class Edition:
    """The catalogue of a night, as a version of the table has it."""

    night: date
    at: int | None = None  # None: the newest version

    @classmethod
    def before(cls, end: date, at: int | None = None) -> Edition:
        """The catalogue of the night before the day ``end``."""
        return cls(end - timedelta(days=1), at)


@dataclass(frozen=True)
class Version:
    """The days of `items` that make the catalogue of a night: one whole catalogue, and the logs after it."""

    whole: date  # NEVER: there is none
    last_log: date  # NEVER: there is none after the whole one

    @property
    def newest(self) -> date:
        """The day since which the catalogue is as it is."""
        return max(self.whole, self.last_log)

    @property
    def has_logs(self) -> bool:
        """Whether several rows of an item can be among those of these days."""
        return self.last_log > self.whole

    def covers(self, column: Callable[[str], Any]) -> Any:
        """Whether a row of `items` belongs to it, as a predicate; ``column`` makes a column of a name."""
        day, whole = column(C.DS), column(C.WHOLE)
        return (whole & (day == self.whole)) | (~whole & (day > self.whole) & (day <= self.last_log))


def days(settings: Settings, at: int | None = None) -> dict[date, set[bool]]:
    """The days of `items`, and whether each has a whole catalogue (True), what a log names (False), or both."""
    found: dict[date, set[bool]] = {}
    if lake.exists(settings, ITEMS):
        for each in lake.partitions(settings, ITEMS, at):
            found.setdefault(date.fromisoformat(each[C.DS]), set()).add(each[C.WHOLE] == "true")
    return found


def version(settings: Settings, edition: Edition) -> Version | None:
    """The days of `items` that make an edition; None where it has no rows."""
    known = days(settings, edition.at)
    if not known:
        return None
    seen = [day for day in known if day <= edition.night] or [min(known)]
    whole = max((day for day in seen if True in known[day]), default=NEVER)
    return Version(whole, max((day for day in seen if False in known[day] and day > whole), default=NEVER))


def frame(spark: SparkSession, settings: Settings, edition: Edition) -> DataFrame:
    """The rows of `items` that make an edition, one an item.

    Raises:
        InputError: as of `lake.read`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows, found = lake.read(spark, settings, ITEMS, edition.at), version(settings, edition)
    if found is None:
        return rows
    rows = rows.where(found.covers(F.col))
    if not found.has_logs:
        return rows
    newest_first = Window.partitionBy(C.ITEM_ID).orderBy(F.col(C.DS).desc())
    return rows.withColumn("_n", F.row_number().over(newest_first)).where("_n = 1").drop("_n")


def arrow(
    settings: Settings, edition: Edition, columns: Sequence[str], items: Collection[str | None] | None = None
) -> pa.Table:
    """`frame` without Spark: some columns, of all items or of those of ``items``.

    Raises:
        InputError: as of `frame`.
    """
    import pyarrow as pa
    import pyarrow.dataset as pads

    found = version(settings, edition)
    where = None if found is None else found.covers(pads.field)
    if items is not None:
        wanted = pads.field(C.ITEM_ID).isin(pa.array(sorted(item for item in items if item is not None), pa.string()))
        where = wanted if where is None else wanted & where
    rows = lake.arrow(settings, ITEMS, list(dict.fromkeys([*columns, C.ITEM_ID, C.DS])), where, at=edition.at)
    if found is not None and found.has_logs:
        rows = rows.sort_by(C.DS)
        rows = rows.filter(pa.array(~rows[C.ITEM_ID].to_pandas().duplicated(keep="last").to_numpy()))
    return rows.select(list(columns))
