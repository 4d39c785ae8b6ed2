"""What the parts of scoring take of some of the night's own users, with the night's own items and model."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pyspark.sql import functions as F

from contracts import lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import EVENTS
from models.catalogue import lists_from_arrow
from models.excluded import Excluded
from nightshift.bench_scoring.whole_user import ALL, CANDIDATES, ENCODER, FEATURES, RANKER, parts
from spark_jobs.cluster.session import session
from spark_jobs.scoring.histories import EXCLUDED, daily_counts, histories
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.search import add_lists
from spark_jobs.scoring.worker import Worker

USERS = 512
"""Users that are looked at, drawn by the hash of their ids."""


def of_users(settings: Settings, model: str, night: Interval) -> dict[str, float]:
    """Milliseconds of a user on one core: of the encoder, of all matching, of the ranker, and of the rest."""
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        package = Path(scratch) / "package"
        with session("bench-night", settings) as spark:
            events = lake.read(spark, settings, EVENTS)
            counts = daily_counts(events, night.end, settings).toArrow()
            everyone = histories(events, night.end, settings)
            rows = everyone.orderBy(F.xxhash64(C.USER_ID)).limit(USERS).toArrow()
        pack(settings, settings.models / model, counts, Edition(night.ds), package)
        add_lists(package, settings.scoring)
        worker = Worker.open(package, settings.scoring, night.end_seconds)
    _, took = parts(
        worker.known(rows),
        worker.state,
        worker.model.encoder,
        worker.model.ranker,
        worker.rules,
        worker.settings,
        Excluded(*lists_from_arrow(rows[EXCLUDED], worker.catalogue)),
        rows[C.USER_ID].combine_chunks(),
        worker.item_names,
    )
    return grouped(took)


def grouped(took: dict[str, float]) -> dict[str, float]:
    """The parts as a night's table has them, which sum up to the whole user."""
    ranking = took[FEATURES] + took[RANKER]
    return {
        "encoding": took[ENCODER],
        "matching": max(took[CANDIDATES] - took[ENCODER], 0.0),
        "ranking": ranking,
        "choosing, rows": max(took[ALL] - took[CANDIDATES] - ranking, 0.0),
    }
