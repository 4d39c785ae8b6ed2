"""Everyone's lists, inside a pandas function. A user-by-item frame never exists: a worker holds the items once.

Of those functions it is the one over Arrow batches, `mapInArrow`: as pandas has them, every item of a history and of a
list would become a Python object on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from contracts.columns import Columns as C
from contracts.settings import Scoring
from contracts.tables import RANKED_ITEM
from spark_jobs.cluster.shipping import Shipment
from spark_jobs.scoring.search import Comparison

LISTS = f"{C.USER_ID} string, {C.ITEMS} array<{RANKED_ITEM}>"
"""What scoring gives."""


def score(
    users: DataFrame, shipment: Shipment, scoring: Scoring, now: int, comparison: Comparison | None = None
) -> DataFrame:
    """Lists (user_id, items) of rows of `spark_jobs.scoring.histories`, as of ``now`` (seconds), on the executors.

    With a ``comparison``, some of the users are also searched for exactly.
    """

    def lists(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # torch takes seconds to import: only the executors do
        from spark_jobs.scoring.worker import Worker

        worker = shipment.open(lambda folder: Worker.open(folder, scoring, now))
        for batch in batches:
            rows = pa.Table.from_batches([batch])
            yield worker.lists_of(rows)
            if comparison is not None:
                worker.compare(rows, comparison)

    return users.mapInArrow(lists, LISTS)


def in_fixed_batches(users: DataFrame, scoring: Scoring, slices: int) -> DataFrame:
    """The same users in the same batches on any cluster: rounding then cannot differ from run to run."""
    users.sparkSession.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(scoring.users_per_batch))
    return users.repartition(slices, C.USER_ID).sortWithinPartitions(C.USER_ID)
