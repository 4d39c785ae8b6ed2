"""What a worker does on an executor: opens its package, and scores batches of users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
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
from models.recommend import Lists, Reordering, Rules, recommend
from models.user_encoder import NO_ID
from spark_jobs.scoring.histories import EXCLUDED
from spark_jobs.scoring.package import CATALOGUE, DAYS, VECTORS

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
            catalogue.available & ~catalogue.is_one_of(scoring.blocked_items, scoring.blocked_categories),
            now,
        )
        rules = Rules(scoring.n, scoring.max_per_category, round(scoring.explore * scoring.n))
        settings = model.settings
        pair = UsablePair.load(folder, settings)
        return cls(catalogue, state, model, settings, rules, now, pair.on(catalogue, settings) if pair else None)

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

    def lists_of(self, users: pd.DataFrame) -> pd.DataFrame:
        """Rows of (user_id, items) for rows of `spark_jobs.scoring.histories`."""
        rows = pa.Table.from_pandas(users, schema=HISTORIES, preserve_index=False)
        made = self.top(self.known(rows), Excluded(*lists_from_arrow(rows[EXCLUDED], self.catalogue)))
        return as_rows(users[C.USER_ID].tolist(), made, self.catalogue.item_ids)


def as_rows(users: Sequence[str], lists: Lists, item_ids: pd.Index[str]) -> pd.DataFrame:
    """Rows of (user_id, items) for lists of item numbers; a list ends where the items ended."""
    names = np.array([*item_ids, None], dtype=object)  # the last one serves -1
    items, because = names[lists.items], names[lists.because]
    rows = [
        [
            {C.RANK: rank, C.ITEM_ID: item, C.SCORE: float(score), C.SOURCE: LIST_SOURCES[source], C.BECAUSE: why}
            for rank, (item, score, source, why) in enumerate(zip(*row, strict=True), start=1)
            if item is not None
        ]
        for row in zip(items, lists.scores, lists.sources, because, strict=True)
    ]
    return pd.DataFrame({C.USER_ID: list(users), C.ITEMS: rows})
