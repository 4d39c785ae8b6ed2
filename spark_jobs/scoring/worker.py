"""What a worker does on an executor: opens its package, and scores batches of users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from safetensors.numpy import load_file

from contracts.columns import Columns as C
from contracts.settings import Scoring, Training
from contracts.tables import LIST_SOURCES
from models.behaviours import Known
from models.catalogue import Catalogue, histories_from_arrow, lists_from_arrow
from models.excluded import Excluded
from models.histories import Histories
from models.item_state import DailyCounts, ItemState, item_state
from models.pair_model.use import UsablePair
from models.published import PublishedModel
from models.ragged import indptr_of
from models.recommend import Lists, Reordering, Rules, recall, recommend
from models.user_encoder import NO_ID
from spark_jobs.scoring.histories import EXCLUDED
from spark_jobs.scoring.package import CATALOGUE, DAYS, VECTORS
from spark_jobs.scoring.search import Comparison, allowed, read_lists

HISTORIES = pa.schema(
    [
        (C.USER_ID, pa.string()),
        (C.ITEM_IDS, pa.list_(pa.string())),
        (C.BEHAVIOURS, pa.list_(pa.string())),
        (C.TIMES, pa.list_(pa.int64())),
        (C.SESSIONS, pa.list_(pa.int64())),
        (C.RATINGS, pa.list_(pa.float32())),
        (EXCLUDED, pa.list_(pa.string())),
    ]
)
"""What `spark_jobs.scoring.histories` gives, for Arrow."""


@dataclass(frozen=True)
class Worker:
    """What is needed to score, in memory."""

    catalogue: Catalogue
    item_names: pa.Array  # ids of the catalogue's items
    state: ItemState
    model: PublishedModel
    settings: Training  # the model's own
    rules: Rules
    now: int  # seconds
    reordering: Reordering | None  # of a pair model

    @classmethod
    def open(cls, folder: Path, scoring: Scoring, now: int) -> Worker:
        """What `spark_jobs.scoring.package.pack` wrote, in memory, as of ``now`` (seconds)."""
        torch.set_num_threads(1)  # Spark runs a worker on every core
        with pa.memory_map(str(folder / CATALOGUE)) as source:
            catalogue = Catalogue.from_arrow(pa.ipc.open_file(source).read_all())
        model = PublishedModel.load(folder)
        known = model.items.on(catalogue)
        days, vectors = load_file(folder / DAYS), load_file(folder / VECTORS)
        state = item_state(
            catalogue,
            vectors[C.VECTOR],
            vectors[C.TEXT_VECTOR],
            DailyCounts(days["items"], days["days"], days["events"], days["strengths"]),
            known.neighbours,
            known.habits,
            known.id_rows != NO_ID,
            allowed(catalogue, scoring),
            now,
        )
        state = replace(state, approximation=read_lists(folder, scoring))
        rules = Rules(scoring.n, scoring.max_per_category, round(scoring.explore * scoring.n))
        settings = model.settings
        pair = UsablePair.load(folder, settings)
        reordering = pair.on(catalogue, settings) if pair else None
        names = pa.array(catalogue.item_ids.to_numpy(object), pa.string())
        return cls(catalogue, names, state, model, settings, rules, now, reordering)

    def known(self, rows: pa.Table) -> Known:
        """What is known of the users of ``rows`` of `HISTORIES`."""
        return Known.of(self.histories(rows), self.model.behaviours, self.now)

    def histories(self, rows: pa.Table) -> Histories:
        """All events of the users of ``rows`` of `HISTORIES`."""
        return histories_from_arrow(rows, self.catalogue, self.model.behaviours.names)

    def top(self, known: Known, excluded: Excluded) -> Lists:
        """Top N of each user."""
        model, rules = self.model, self.rules
        return recommend(
            known, self.state, model.encoder, model.ranker, rules, self.settings, excluded, self.reordering
        )

    def excluded(self, rows: pa.Table) -> Excluded:
        """What the users of ``rows`` of `HISTORIES` must not get."""
        return Excluded(*lists_from_arrow(rows[EXCLUDED], self.catalogue))

    def lists_of(self, rows: pa.Table) -> pa.RecordBatch:
        """Rows of (user_id, items) for rows of `HISTORIES`."""
        made = self.top(self.known(rows), self.excluded(rows))
        return as_rows(rows[C.USER_ID].combine_chunks(), made, self.item_names)

    def compare(self, rows: pa.Table, comparison: Comparison) -> None:
        """Searches both ways for those of the users that the comparison takes, and adds up what came of it."""
        chosen = rows.filter(pa.array(comparison.takes(rows[C.USER_ID])))
        if chosen.num_rows:
            known, excluded = self.known(chosen), self.excluded(chosen)
            told = recall(known, self.state, self.model.encoder, self.settings, excluded, self.rules)
            comparison.add(told.users, told.exact, told.found)


def as_rows(users: pa.Array, lists: Lists, item_names: pa.Array) -> pa.RecordBatch:
    """Rows of (user_id, items) for lists of item numbers; a list ends where the items ended."""
    is_there = lists.items >= 0
    because = lists.because[is_there]
    ranked = {
        C.RANK: pa.array(np.nonzero(is_there)[1] + 1, pa.int32()),
        C.ITEM_ID: item_names.take(pa.array(lists.items[is_there])),
        C.SCORE: pa.array(lists.scores[is_there], pa.float64()),
        C.SOURCE: pa.array(LIST_SOURCES, pa.string()).take(pa.array(lists.sources[is_there])),
        C.BECAUSE: item_names.take(pa.array(because, mask=because < 0)),
    }
    starts = pa.array(indptr_of(is_there.sum(axis=1)), pa.int32())
    items = pa.ListArray.from_arrays(starts, pa.StructArray.from_arrays(list(ranked.values()), list(ranked)))
    return pa.RecordBatch.from_arrays([users, items], [C.USER_ID, C.ITEMS])
