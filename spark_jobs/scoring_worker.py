"""What a worker does on an executor: opens what `score_users.pack` packed, and scores batches of users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from safetensors.numpy import load_file

from models.catalogue import Catalogue, histories_from_arrow
from models.features import DailyCounts, ItemStats, popularity
from models.published import PublishedModel
from models.scoring import Lists, Rules, Shelf, recommend, seen_rules, shelf_order
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Scoring
from spark_jobs.contracts.tables import SOURCES
from spark_jobs.score_users import CATALOGUE, DAYS, VECTORS

HISTORIES = pa.schema(
    [
        (C.USER_ID, pa.string()),
        (C.ITEM_IDS, pa.list_(pa.string())),
        (C.BEHAVIOURS, pa.list_(pa.string())),
        (C.TIMES, pa.list_(pa.int64())),
    ]
)
"""What `score_users.histories` gives, for Arrow."""


@dataclass(frozen=True)
class Loaded:
    """What a worker needs to score, in memory."""

    catalogue: Catalogue
    shelf: Shelf
    model: PublishedModel
    rules: Rules


def unpack(folder: Path, scoring: Scoring, targets: Sequence[str], now: int) -> Loaded:
    """What `pack` wrote, in memory, as of ``now`` (seconds)."""
    torch.set_num_threads(1)  # Spark runs a worker on every core
    with pa.memory_map(str(folder / CATALOGUE)) as source:
        items = pa.ipc.open_file(source).read_all()
        catalogue = Catalogue.from_arrow(items)
        category = items.sort_by(C.ITEM_ID)[C.CATEGORY].to_pandas().to_numpy(object)
    model = PublishedModel.load(folder).on(catalogue)
    days = load_file(folder / DAYS)
    known = days["items"] >= 0
    counts = DailyCounts(days["items"][known], days["days"][known], days["purchases"][known])
    popular = popularity(counts, now, len(catalogue))
    allowed = catalogue.available & ~np.isin(category, scoring.blocked_categories)
    allowed &= ~np.isin(catalogue.item_ids.to_numpy(object), scoring.blocked_items)
    shelf = Shelf(
        load_file(folder / VECTORS)["vectors"],
        allowed,
        catalogue.codes[1],
        model.items.near,
        ItemStats(catalogue.codes, popular, model.items.habits),
        shelf_order(popular, allowed),
    )
    rules = Rules(
        scoring.n,
        scoring.matched,
        tuple(model.about["behaviours"].index(name) for name in targets),
        scoring.max_per_category,
        seen_rules(scoring.exclude_seen_days, model.about["behaviours"]),
    )
    return Loaded(catalogue, shelf, model, rules)


def as_rows(users: Sequence[str], lists: Lists, item_ids: pd.Index[str]) -> pd.DataFrame:
    """Rows of (user_id, items) for lists of item numbers; a list ends where the items ended."""
    names = np.array([*item_ids, None], dtype=object)  # the last one serves -1
    items, because = names[lists.items], names[lists.because]
    rows = [
        [
            {C.RANK: place + 1, C.ITEM_ID: item, C.SCORE: float(score), C.SOURCE: SOURCES[source], C.BECAUSE: why}
            for place, (item, score, source, why) in enumerate(zip(*row, strict=True))
            if item is not None
        ]
        for row in zip(items, lists.scores, lists.sources, because, strict=True)
    ]
    return pd.DataFrame({C.USER_ID: list(users), C.ITEMS: rows})


def lists_of(users: pd.DataFrame, loaded: Loaded, now: int) -> pd.DataFrame:
    """Rows of (user_id, items) for rows of `score_users.histories`, as of ``now`` (seconds)."""
    about = loaded.model.about
    rows = pa.Table.from_pandas(users, schema=HISTORIES, preserve_index=False)
    made = recommend(
        histories_from_arrow(rows, loaded.catalogue, about["behaviours"]),
        loaded.shelf,
        loaded.model.encoder,
        loaded.model.ranker,
        loaded.rules,
        about["settings"]["encoder_length"],
        now,
    )
    return as_rows(users[C.USER_ID].tolist(), made, loaded.catalogue.item_ids)
