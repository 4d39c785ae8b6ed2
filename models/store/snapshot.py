"""The sequences of one snapshot and the catalogue, read from the lake as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Settings
from contracts.tables import EVENTS, ITEMS, SEQUENCE, SEQUENCES
from contracts.windows import Windows
from models.catalogue import CATALOGUE_COLUMNS, Catalogue, histories_from_arrow, lists_from_arrow
from models.histories import Histories
from models.metrics import Relevant
from models.ragged import indptr_of

PINNED = (EVENTS, ITEMS)
"""Tables whose versions belong to a snapshot: all that is made from it reads them as they were then."""

BATCH_USERS = 20_000
"""Users turned from strings into numbers at once: only the numbers of all users are in memory together."""


@dataclass(frozen=True)
class Split:
    """One split: what users did before its window, and the items of their target events inside."""

    user_ids: list[str]
    histories: Histories
    relevant: Relevant


def pins_note(windows: Windows, versions: Mapping[str, int]) -> dict[str, object]:
    """The note of the commit that writes a snapshot: its windows, and the versions of `PINNED` it was made beside."""
    return {
        C.SNAPSHOT_ID: windows.snapshot_id,
        "as_of": str(windows.end),
        "window_days": windows.window_days,
        "versions": dict(versions),
    }


def windows_of(settings: Settings, end: date) -> Windows:
    """The windows of the snapshot as of ``end``: those of the settings, or those that were chosen when it was made.

    Raises:
        InputError: there is no snapshot as of that day.
    """
    days = settings.splits.window_days
    if days is None:
        made = lake.exists(settings, SEQUENCES)
        note = lake.note_with(settings, SEQUENCES, {"as_of": str(end)}) if made else None
        if note is None:
            raise InputError(
                f"Table {lake.path(settings, SEQUENCES)} has no snapshot as of {end}: run the step build_splits as of "
                "this day first."
            )
        days = int(note["window_days"])
    return Windows.of(settings, end, days)


def pins(settings: Settings, snapshot_id: str) -> dict[str, int]:
    """The versions that belong to a snapshot, by table.

    Raises:
        InputError: no commit of `sequences` tells them.
    """
    note = lake.note_with(settings, SEQUENCES, {C.SNAPSHOT_ID: snapshot_id})
    if note is None:
        raise InputError(
            f"Table {lake.path(settings, SEQUENCES)} tells of no snapshot {snapshot_id}, nor which versions of "
            f"{' and '.join(table.name for table in PINNED)} it was made from: run the step build_splits as of this "
            "day first."
        )
    return dict(note["versions"])


def edition_of(settings: Settings, windows: Windows) -> Edition:
    """The catalogue as it was when the snapshot was made."""
    return Edition.before(windows.end, pins(settings, windows.snapshot_id).get(ITEMS.name))


def read_catalogue(settings: Settings, edition: Edition) -> Catalogue:
    """The catalogue of an edition.

    Raises:
        InputError: there is none.
    """
    return Catalogue.from_arrow(catalogue.arrow(settings, edition, CATALOGUE_COLUMNS))


def read_attributes(settings: Settings, edition: Edition, names: Sequence[str]) -> dict[str, list[str | None]]:
    """Some attributes of the items of an edition, each as a list [items], in no order.

    Raises:
        InputError: there is no such edition.
    """
    rows = catalogue.arrow(settings, edition, names)
    return {name: rows[name].to_pylist() for name in names}


def read_split(
    settings: Settings, catalogue: Catalogue, snapshot_id: str, split: str, behaviours: Sequence[str]
) -> Split:
    """A split of a snapshot, users in ascending order; behaviours are numbered as they are named.

    Raises:
        InputError: the snapshot has no such split.
    """
    wanted = (pads.field(C.SNAPSHOT_ID) == snapshot_id) & (pads.field(C.SPLIT) == split)
    columns = [C.USER_ID, *SEQUENCE, C.TARGETS]
    batches = lake.dataset(settings, SEQUENCES).to_batches(columns=columns, filter=wanted, batch_size=BATCH_USERS)
    parts = [_part(batch, catalogue, behaviours) for batch in batches if batch.num_rows]
    if not parts:
        raise InputError(
            f"Table {lake.path(settings, SEQUENCES)} has no split {split!r} of snapshot {snapshot_id}: run "
            "the step build_splits as of this day first."
        )
    users = [user for part in parts for user in part.user_ids]
    order = np.argsort(np.array(users, dtype=object), kind="stable")
    return Split(
        [users[number] for number in order],
        Histories.joined([part.histories for part in parts]).take(order),
        _joined_relevant([part.relevant for part in parts]).take(order),
    )


def _part(batch: pa.RecordBatch, catalogue: Catalogue, behaviours: Sequence[str]) -> Split:
    rows = pa.Table.from_batches([batch])
    return Split(
        rows[C.USER_ID].to_pylist(),
        histories_from_arrow(rows, catalogue, behaviours),
        Relevant(*lists_from_arrow(rows[C.TARGETS], catalogue)),
    )


def _joined_relevant(parts: list[Relevant]) -> Relevant:
    counts = np.concatenate([part.counts for part in parts])
    return Relevant(indptr_of(counts), np.concatenate([part.items for part in parts]))
