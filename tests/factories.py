"""Rows and arrays for tests, built once: a row has what its table needs, and what a test says of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from contracts.fallback import FALLBACK_USER
from contracts.settings import Candidates, Cooccurrence, Encoder, Features, Training
from contracts.tables import FALLBACK
from models.behaviours import Behaviours, Known
from models.catalogue import Catalogue
from models.cooccurrence import Neighbours, neighbours_of
from models.histories import DAY, Histories
from models.item_state import DailyCounts, ItemState, habits_of, item_state

NIGHT = date(2017, 12, 23)


def noon(day: date) -> datetime:
    """Noon UTC of a day."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def event(user: str, item: str, time: datetime, behaviour: str = "purchase", **changes: Any) -> dict[str, Any]:
    """A row of `events`, brought by the log of its own day."""
    row = {
        "event_id": f"{user}-{item}-{time}-{behaviour}",
        "user_id": user,
        "item_id": item,
        "behaviour": behaviour,
        "event_time": time,
        "quantity": 1.0,
        "price": 0.99,
        "ds": time.date(),
    }
    return row | changes


def result(
    ds: date = NIGHT, suite: str = "events", severity: str = "critical", *, success: bool = True, **changes: Any
) -> dict[str, Any]:
    """A row of `quality_results`."""
    row = {
        "ds": ds,
        "run_id": "r1",
        "suite": suite,
        "expectation": "rows",
        "severity": severity,
        "success": success,
        "expected": "1 or more",
        "observed": "0",
    }
    return row | changes


FIRST_CATALOGUE = date(2017, 1, 1)


def item(item_id: str, *, text: str | None = None, available: bool = True, **changes: Any) -> dict[str, Any]:
    """A row of `items`, of a whole catalogue of long ago."""
    words = item_id if text is None else text
    row = {
        "ds": FIRST_CATALOGUE,
        "whole": True,
        "item_id": item_id,
        "available": available,
        "text": words,
        "text_hash": f"hash of {words}",
        "made_from": "a test",
    }
    return row | changes


def counted(day: date, clean: int, rejected: int = 0) -> dict[str, Any]:
    """A row of `ingest_counts`."""
    return {
        "ds": day,
        "files": 1,
        "raw": clean + rejected,
        "clean": clean,
        "rejected": rejected,
        "duplicates": 0,
    }


def ranked(*rows: tuple[str, float, str, str | None]) -> list[dict[str, Any]]:
    """The items of a list: (item, score, source, because), best first."""
    return [
        {"rank": rank, "item_id": item, "score": score, "source": source, "because": because}
        for rank, (item, score, source, because) in enumerate(rows, start=1)
    ]


def recommended(
    user: str, items: Sequence[dict[str, Any]], *, ds: date = NIGHT, model: str = "m1", run_id: str = "r1"
) -> dict[str, Any]:
    """A row of `recommendations`."""
    row = {"ds": ds, "user_id": user, "items": list(items), "model_id": model, "run_id": run_id}
    return row | {"scored_ds": ds}


def fallback_row(*items: str, ds: date = NIGHT, model: str = "m1", run_id: str = "r1") -> dict[str, Any]:
    """The row of `recommendations` for whoever has none."""
    listed = [(item, 0.0 - rank, FALLBACK, None) for rank, item in enumerate(items)]
    return recommended(FALLBACK_USER, ranked(*listed), ds=ds, model=model, run_id=run_id)


def publication(ds: date, **changes: Any) -> dict[str, Any]:
    """A row of `publications`, written in the morning after the night."""
    row: dict[str, Any] = {
        "ds": ds,
        "run_id": "r1",
        "status": "published",
        "reasons": [],
        "model_id": "m1",
        "model_as_of": None,
        "users": 2,
        "content_hash": "c0ffee",
        "table_versions": {"events": 7},
        "measures": {"users": 2.0, "coverage": 1.0, "churn": 0.25, "source_repeat": 0.75, "source_popular": 0.25},
        "published_at": datetime(ds.year, ds.month, ds.day, 4, tzinfo=UTC) + timedelta(days=1),
    }
    return row | changes


NOW = 1000 * DAY
"""The moment before which histories of `past_of` lie, seconds."""


def past_of(*events: tuple[int, int, float], users: int = 3) -> Histories:
    """Histories of (user, item, days before NOW)."""
    rows = np.array(events, dtype=np.float64).reshape(-1, 3)
    time = (NOW - rows[:, 2] * DAY).astype(np.int64)
    user, item = rows[:, 0].astype(np.int32), rows[:, 1].astype(np.int32)
    return Histories.from_events(users, user, item, np.zeros(len(rows), dtype=np.int32), time)


SHOP_ITEMS = 12
"""Items of the tiny shop: four kinds of three, in two categories."""

TINY = Training(
    encoder=Encoder(vector_size=8, length=6, layers=1, heads=2, epochs=2),
    candidates=Candidates(match=4),
    cooccurrence=Cooccurrence(neighbours=3),
)


PURCHASES = Behaviours(("purchase",), (1.0,), (0,))
"""A shop that logs nothing else."""


def known_of(histories: Histories, behaviours: Behaviours = PURCHASES) -> Known:
    """What is known of these users before NOW."""
    return Known.of(histories, behaviours, NOW)


def shop_histories(users: int = 40, seed: int = 0) -> Histories:
    """Users that take a few favourites again and again; the last user has no history."""
    random = np.random.default_rng(seed)
    events = users * 15
    user = random.integers(0, users - 1, events).astype(np.int32)
    item = ((user % 4) * 3 + random.integers(0, 3, events)).astype(np.int32)
    time = NOW - random.integers(1, 90, events) * DAY
    return Histories.from_events(users, user, item, np.zeros(events, np.int32), time.astype(np.int64))


def shop_catalogue() -> Catalogue:
    """The tiny shop's items: every second one is of the same category, type and brand."""
    import pandas as pd

    codes = np.stack([np.arange(SHOP_ITEMS) % 2] * 4).astype(np.int32)
    ids = [f"i{number:02d}" for number in range(SHOP_ITEMS)]
    available = np.ones(SHOP_ITEMS, dtype=np.bool_)
    return Catalogue(pd.Index(ids), np.array(ids, dtype=object), codes, (("even", "odd"),) * 4, available)


def shop_state(histories: Histories, neighbours: Neighbours | None = None) -> ItemState:
    """The state of the tiny shop's items: random vectors, all allowed."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(SHOP_ITEMS, TINY.encoder.vector_size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = vectors[:, ::-1].copy()
    catalogue, known = shop_catalogue(), known_of(histories)
    return item_state(
        catalogue,
        vectors,
        texts,
        DailyCounts.of(known),
        neighbours or neighbours_of(known, SHOP_ITEMS, TINY.cooccurrence),
        habits_of(histories, NOW, catalogue.codes[2], Features().prior),
        np.ones(SHOP_ITEMS, dtype=np.bool_),
        catalogue.available,
        NOW,
    )
