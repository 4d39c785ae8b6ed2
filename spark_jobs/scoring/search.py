"""Approximate search in a night: its lists in the package of the workers, and how much of the exact search it finds.

The recall is measured by the workers, of some users as they are scored, and added up by Spark: no second look at the
events, and nothing of all users comes to the driver.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from safetensors.numpy import load_file

from contracts.columns import Columns as C
from contracts.night_steps import COMPARED, EXACT_MATCHES, FOUND_MATCHES, Counts
from contracts.settings import Scoring
from models.catalogue import Catalogue
from models.histories import Flags
from models.item_state import Approximation
from spark_jobs.scoring.package import CATALOGUE, COLUMNS, VECTORS

USERS = 512
"""About so many of a night's users are searched for both ways."""


def allowed(catalogue: Catalogue, scoring: Scoring) -> Flags:
    """What may be recommended at all, [items]."""
    return catalogue.available & ~catalogue.is_one_of(scoring.blocked_items, scoring.blocked_categories)


def add_lists(package: Path, scoring: Scoring) -> None:
    """Puts the lists of an approximate search into what `spark_jobs.scoring.package.pack` made; else does nothing.

    Raises:
        SettingsError: approximate search is set, and faiss is not installed.
    """
    if scoring.search == "exact":
        return
    from models.approximate import make_lists, save_lists  # brings torch

    with pa.memory_map(str(package / CATALOGUE)) as source:
        may = allowed(Catalogue.from_arrow(pa.ipc.open_file(source).read_all()), scoring)
    for column, vectors in load_file(package / VECTORS).items():
        save_lists(make_lists(vectors, may), lists_file(package, column))


def read_lists(package: Path, scoring: Scoring) -> Approximation | None:
    """The lists that `add_lists` put there; None with exact search.

    Raises:
        SettingsError: faiss is not installed on this machine.
    """
    if scoring.search == "exact":
        return None
    from models.approximate import load_lists

    of_vectors, of_texts = (load_lists(lists_file(package, column)) for column in COLUMNS)
    return Approximation(of_vectors, of_texts, scoring.search_probes)


def lists_file(package: Path, column: str) -> Path:
    """Of the lists of one kind of vectors."""
    return package / f"{column}.faiss"


@dataclass(frozen=True)
class Comparison:
    """A share of the users for whom both searches are made, and what came of it so far."""

    share: float
    counts: Mapping[str, Accumulator[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, spark: SparkSession, scoring: Scoring, events: DataFrame) -> Comparison | None:
        """With approximate search, of about `USERS` of those who have ``events``; else None, and nothing is read."""
        if scoring.search == "exact":
            return None
        users = events.agg(F.approx_count_distinct(C.USER_ID, 0.05)).head()
        number = users[0] if users else 0
        sums = {name: spark.sparkContext.accumulator(0) for name in (COMPARED, EXACT_MATCHES, FOUND_MATCHES)}
        return cls(min(1.0, USERS / max(number, 1)), sums)

    def takes(self, users: pa.Array) -> Flags:
        """Which of the users, by a hash of their ids: the same on any cluster, [users]."""
        hashes = np.array([zlib.crc32(user.encode()) for user in users.to_pylist()], dtype=np.float64)
        return hashes < self.share * 2**32

    def add(self, compared: int, exact: int, found: int) -> None:
        """Adds what some users gave, on a worker."""
        for name, number in ((COMPARED, compared), (EXACT_MATCHES, exact), (FOUND_MATCHES, found)):
            self.counts[name].add(number)

    def told(self) -> Counts:
        """What all gave, on the driver once everyone is scored; a task that ran twice counts twice."""
        return {name: each.value for name, each in self.counts.items()}
