"""The sequences of one snapshot, read from the lake in batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from numpy.typing import NDArray

from models.catalogue import Catalogue, histories_from_arrow, lists_from_arrow
from models.histories import Histories, Longs
from models.metrics import Relevant
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import ITEMS, SEQUENCES, Table

BATCH_USERS = 20_000
"""Users turned from strings into numbers at once: only the numbers of all users are in memory together."""


@dataclass(frozen=True)
class Split:
    """One split: what users did before its window, and what they took inside."""

    user_ids: list[str]
    histories: Histories
    relevant: Relevant


def is_target(histories: Histories, settings: Settings) -> NDArray[np.bool_]:
    """Which events are of a target behaviour, [events]."""
    names = list(settings.ingest.behaviours)
    return np.isin(histories.behaviours, [names.index(target) for target in settings.ingest.targets])


def read_catalogue(settings: Settings) -> Catalogue:
    """The catalogue.

    Raises:
        InputError: there is none.
    """
    return Catalogue.from_arrow(_table(settings, ITEMS).to_pyarrow_table())


def read_split(settings: Settings, catalogue: Catalogue, snapshot_id: str, split: str) -> Split:
    """A split of a snapshot, users in ascending order.

    Raises:
        InputError: the snapshot has no such split.
    """
    table = _table(settings, SEQUENCES)
    wanted = (ds.field(C.SNAPSHOT_ID) == snapshot_id) & (ds.field(C.SPLIT) == split)
    dataset = table.to_pyarrow_dataset()
    columns = [C.USER_ID, C.ITEM_IDS, C.BEHAVIOURS, C.TIMES, C.TARGETS]
    parts: list[tuple[list[str], Histories, Relevant]] = []
    for batch in dataset.to_batches(columns=columns, filter=wanted, batch_size=BATCH_USERS):
        if batch.num_rows:
            rows = pa.Table.from_batches([batch])
            parts.append(
                (
                    rows[C.USER_ID].to_pylist(),
                    histories_from_arrow(rows, catalogue, list(settings.ingest.behaviours)),
                    Relevant(*lists_from_arrow(rows[C.TARGETS], catalogue)),
                )
            )
    if not parts:
        raise InputError(
            f"Table {settings.lake / SEQUENCES.name} has no split {split!r} of snapshot {snapshot_id}: run "
            "spark_jobs.build_splits for this interval first."
        )
    users = [user for part in parts for user in part[0]]
    order = np.argsort(np.array(users, dtype=object), kind="stable")
    return Split(
        [users[n] for n in order],
        _joined([part[1] for part in parts]).take(order.astype(np.int32)),
        _joined_relevant([part[2] for part in parts]).take(order),
    )


def _joined(parts: list[Histories]) -> Histories:
    return Histories(
        _indptr([part.lengths for part in parts]),
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.behaviours for part in parts]),
        np.concatenate([part.times for part in parts]),
    )


def _joined_relevant(parts: list[Relevant]) -> Relevant:
    return Relevant(_indptr([part.counts for part in parts]), np.concatenate([part.items for part in parts]))


def _indptr(counts: list[Longs]) -> Longs:
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)


def _table(settings: Settings, table: Table) -> DeltaTable:
    folder = settings.lake / table.name
    if not DeltaTable.is_deltatable(str(folder)):
        raise InputError(f"Table {folder} does not exist: run the step that writes {table.name} first.")
    return DeltaTable(folder)
