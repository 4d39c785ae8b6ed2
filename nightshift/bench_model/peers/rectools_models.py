"""Models of RecTools on the events of a benchmark: ``python rectools_models.py NAME FOLDER`` (`peers.exchange`).

Runs in an environment of its own and imports nothing of ours.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# Chosen on the validation items of Office 2014, NDCG@10: .0371, .0396, .0386, .0364 at penalties 20, 100, 250, 500
EASE = {"regularization": 100.0}
# BM25 with 20, 100 and 400 neighbours .0444, .0435, .0438; TF-IDF .0384, .0389, .0385; cosine .0380, .0388, .0394
KNN = {"K": 20}
# The shape of our own transformer over ids, not tuned for this library: .0302 after 5 epochs, .0465 after 10, rising.
# The last 20 items: every place, padding too, is scored against all items, so 50 would take 2.5 times as long.
SASREC = {
    "n_blocks": 2, "n_heads": 2, "n_factors": 64, "dropout_rate": 0.5, "session_max_len": 20, "loss": "softmax",
    "lr": 2e-3, "batch_size": 128, "epochs": 30,
}  # fmt: skip


def model_of(name: str) -> Any:
    """A model that is not fitted yet."""
    if name == "ease":
        from rectools.models import EASEModel

        return EASEModel(**EASE)
    if name == "item-knn":
        from implicit.nearest_neighbours import BM25Recommender
        from rectools.models import ImplicitItemKNNWrapperModel

        return ImplicitItemKNNWrapperModel(BM25Recommender(**KNN))
    if name == "sasrec":
        from pytorch_lightning import seed_everything
        from rectools.models import SASRecModel

        seed_everything(7)
        return SASRecModel(**SASREC, deterministic=True)
    raise SystemExit(f"{name!r} is none of ease, item-knn, sasrec")


def main(name: str, folder: Path) -> None:
    """Fits the model on ``events.npz`` and writes ``lists.npz``."""
    from rectools import Columns
    from rectools.dataset import Dataset

    warnings.filterwarnings("ignore")
    with np.load(folder / "events.npz") as read:
        events = {key: read[key] for key in read.files}
    frame = pd.DataFrame(
        {
            Columns.User: events["user"],
            Columns.Item: events["item"],
            Columns.Weight: events["strength"],
            Columns.Datetime: pd.to_datetime(events["time"], unit="s"),
        }
    )
    judged, n = events["judged"], int(events["n"])
    begun = time.monotonic()
    dataset = Dataset.construct(frame)
    model = model_of(name).fit(dataset)
    fitted = time.monotonic()
    # a user of whom all events are of items that cannot be sold is none that the models know
    known = judged[np.isin(judged, events["user"])]
    made = model.recommend(known, dataset, k=n, filter_viewed=bool(events["filter_viewed"]))
    lists = np.full((len(judged), n), -1, dtype=np.int64)
    row = pd.Series(np.arange(len(judged)), index=judged)[made[Columns.User]].to_numpy()
    lists[row, made[Columns.Rank].to_numpy() - 1] = made[Columns.Item]
    scored = time.monotonic()
    np.savez(folder / "lists.npz", lists=lists, fit_seconds=fitted - begun, score_seconds=scored - fitted)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
