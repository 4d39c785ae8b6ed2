"""One user scored again with the night's model, without Spark: an item's place among the candidates, and its features.

By the code of the night: the package and the worker of `spark_jobs.scoring`, and the parts of `models.recommend`.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from contracts import lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.interval import clock_seconds, midnight_seconds
from contracts.settings import Settings, Training
from contracts.tables import EVENTS, SOURCES
from models.behaviours import Behaviours, shares
from models.excluded import Excluded
from models.histories import DAY, Floats
from models.item_state import POPULARITY_DAYS
from models.pair_model.told import PAIR_MODEL
from models.ranker import Ranker
from models.recommend import features_of, generated
from models.store.registry import chosen_folder
from nightshift.lookups.fallback import given
from nightshift.lookups.published import Event, excluding, published
from spark_jobs.scoring.histories import EXCLUDED, ITEM_DAY, ITEM_EVENTS, ITEM_STRENGTH
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.search import add_lists
from spark_jobs.scoring.worker import HISTORIES, Worker

TOP = 8
"""Features shown."""

CAPS = ("repeat", "interest", "cooccurrence", "match", "text", "popular")
"""Settings of `training.candidates` that say how much each source brings, in the order of SOURCES."""


COUNTS = pa.schema(
    [(C.ITEM_ID, pa.string()), (ITEM_DAY, pa.int32()), (ITEM_EVENTS, pa.int64()), (ITEM_STRENGTH, pa.float64())]
)
"""What `daily_counts` gives."""


@dataclass(frozen=True)
class Contribution:
    """A feature of the item, and by how much the score would fall if it had the mean that the ranker was fitted on."""

    feature: str
    value: float
    contribution: float


@dataclass(frozen=True)
class Rescored:
    """The item among the user's candidates; ranks and scores are before the rules that exclude and cap."""

    as_published: bool  # the user's list comes out with the items of the published one, in their order
    candidates: int
    sources: tuple[str, ...]  # those that bring it, the one that the list names first; none: it is no candidate
    rank: int | None
    score: float | None
    last_score: float | None  # of the N-th candidate
    contributions: tuple[Contribution, ...]  # largest first, behind a pair model's; none for a user without events


def rescored(settings: Settings, user: str, item: str, ds: date | None) -> Rescored:
    """Scores the user of a published night again.

    Raises:
        InputError: nothing was published for the night, or it has neither a list of the user nor one to fall back on.
        ModelError: the night's model is not there any more, is damaged, or has lost its item vectors.
    """
    publication = published(settings, ds)
    published_list = given(settings, publication[C.DS], user)
    was, night = [row[C.ITEM_ID] for row in published_list.items], published_list.scored_ds
    end = night + timedelta(days=1)
    now = midnight_seconds(end)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        package = Path(scratch) / "package"
        pack(
            settings,
            chosen_folder(settings, publication[C.MODEL_ID]),
            daily_counts(settings, end),
            Edition(night),
            package,
        )
        add_lists(package, settings.scoring)
        worker = Worker.open(package, settings.scoring, now)
        rows = pa.Table.from_pylist([history(settings, user, end)], schema=HISTORIES)
        [made] = worker.lists_of(rows).to_pylist()
        comes_out = [row[C.ITEM_ID] for row in made[C.ITEMS]]
        return _placed(worker, rows, item, as_published=comes_out == was)


def daily_counts(settings: Settings, end: date) -> pa.Table:
    """`spark_jobs.scoring.histories.daily_counts` without Spark."""
    known = lake.known_before(end, pads.field, settings.shop.zone)
    parts = lake.parts(settings, EVENTS, [C.ITEM_ID, C.EVENT_TIME, C.BEHAVIOUR, C.RATING], known)
    counted = [_daily_counts(settings, end, part) for part in parts]
    return _summed(pa.concat_tables(counted)) if counted else COUNTS.empty_table()


def _daily_counts(settings: Settings, end: date, events: pa.Table) -> pa.Table:
    """The counts of some events known before ``end``."""
    first = midnight_seconds(end) // DAY - max(POPULARITY_DAYS)
    day = clock_seconds(events[C.EVENT_TIME], settings.shop.zone) // DAY
    ingest = settings.ingest
    behaviours = Behaviours.of(ingest.behaviours, ingest.targets, ingest.scale)
    number = pc.index_in(events[C.BEHAVIOUR], pa.array(behaviours.names))
    weight = pc.fill_null(pc.take(pa.array(behaviours.weights), number), 0.0)
    strength = weight.to_numpy() * shares(events[C.RATING].to_numpy(), ingest.scale)
    is_target = ingest.target_events.are(pads.field, pads.Expression.is_null)
    targets = pads.dataset(events).to_table({ITEM_EVENTS: pc.if_else(is_target, 1, 0)})[ITEM_EVENTS]
    columns = {C.ITEM_ID: events[C.ITEM_ID], ITEM_DAY: pa.array(day, pa.int32())}
    counted = pa.table(columns | {ITEM_EVENTS: targets.cast(pa.int64()), ITEM_STRENGTH: strength}, COUNTS)
    return _summed(counted.filter(pc.field(ITEM_DAY) >= first))


def _summed(counted: pa.Table) -> pa.Table:
    grouped = counted.group_by([C.ITEM_ID, ITEM_DAY], use_threads=False)
    summed = grouped.aggregate([(ITEM_EVENTS, "sum"), (ITEM_STRENGTH, "sum")])
    return summed.rename_columns(COUNTS.names)


def history(settings: Settings, user: str, end: date) -> dict[str, object]:
    """`spark_jobs.scoring.histories.histories` of one user, without Spark.

    Only events of one moment in different sessions can be in another order: Spark hashes sessions otherwise.
    """
    zone = settings.shop.zone
    known = lake.known_before(end, pads.field, zone) & (pads.field(C.USER_ID) == user)
    columns = [C.EVENT_TIME, C.SESSION_ID, C.ITEM_ID, C.BEHAVIOUR, C.RATING]
    rows = lake.arrow(settings, EVENTS, columns, known).to_pylist()
    events = sorted(
        (
            _clock(row[C.EVENT_TIME], zone), _session(row[C.SESSION_ID]), row[C.ITEM_ID], row[C.BEHAVIOUR],
            -math.inf if row[C.RATING] is None else row[C.RATING],
        )
        for row in rows
    )[-settings.splits.max_history :]  # fmt: skip
    times, sessions, items, behaviours, ratings = zip(*events, strict=True) if events else ((),) * 5
    everything = (Event(row[C.EVENT_TIME], row[C.BEHAVIOUR], row[C.ITEM_ID]) for row in rows)
    excluded = sorted({each.item_id for each in excluding(settings, everything, end - timedelta(days=1))})
    return {
        C.USER_ID: user,
        C.ITEM_IDS: list(items),
        C.BEHAVIOURS: list(behaviours),
        C.TIMES: list(times),
        C.SESSIONS: list(sessions),
        C.RATINGS: [None if rating == -math.inf else rating for rating in ratings],
        EXCLUDED: excluded,
    }


def _clock(time: datetime, zone: tzinfo) -> int:
    """Seconds of the shop's clock."""
    return int(time.astimezone(zone).replace(tzinfo=UTC).timestamp())


def _session(name: str | None) -> int:
    """A number by which sessions differ; 0 where the log names none."""
    if name is None:
        return 0
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _placed(worker: Worker, rows: pa.Table, item: str, *, as_published: bool) -> Rescored:
    """The item among the candidates."""
    state, model, settings = worker.state, worker.model, worker.settings
    known = worker.known(rows)
    nothing = Excluded.nothing(1)
    made = generated(known, state, model.encoder, settings, nothing, worker.rules)
    candidates = made.candidates
    number = int(worker.catalogue.positions([item])[0])
    place = np.flatnonzero(candidates.items == number)  # an unknown item's -1 is none of them
    sources = tuple(
        name
        for name, cap in zip(SOURCES, CAPS, strict=True)
        if len(place)
        and number
        in generated(known, state, model.encoder, _only(settings, cap), nothing, worker.rules).candidates.items
    )
    if not known.past.lengths[0]:
        return Rescored(as_published, len(candidates.items), sources, None, None, None, ())
    features = features_of(made, candidates, known, state, settings.features)
    scores = model.ranker.score(features)
    by_ranker = scores
    if worker.reordering:
        scores = worker.reordering(known, state, candidates, scores)
    last = float(np.sort(scores)[::-1][: worker.rules.n][-1]) if len(scores) else None
    if not len(place):
        return Rescored(as_published, len(scores), (), None, None, last, ())
    own = int(place[0])
    return Rescored(
        as_published,
        len(scores),
        sources,
        int((scores > scores[own]).sum()) + 1,
        float(scores[own]),
        last,
        (*_of_pair_model(float(scores[own] - by_ranker[own])), *contributions(model.ranker, features[own])),
    )


def _of_pair_model(raised: float) -> tuple[Contribution, ...]:
    """What a pair model adds to the item's score, if it does."""
    return (Contribution(PAIR_MODEL, raised, raised),) if raised else ()


def _only(settings: Training, cap: str) -> Training:
    """The same settings with one source of candidates."""
    return settings.having({f"candidates.{name}": 0 for name in CAPS if name != cap})


def contributions(ranker: Ranker, row: Floats) -> tuple[Contribution, ...]:
    """What moves the score of one row [features] the most, one feature at a time against the ranker's mean."""
    compressed = ranker.mean.numpy()
    means = (np.sign(compressed) * np.expm1(np.abs(compressed))).astype(np.float32)
    tried = np.tile(row, (len(row) + 1, 1))
    np.fill_diagonal(tried[1:], means)
    scores = ranker.score(tried)
    moved = scores[0] - scores[1:]
    order = np.argsort(-np.abs(moved), kind="stable")[:TOP]
    return tuple(Contribution(ranker.features[each], float(row[each]), float(moved[each])) for each in order)
