"""Protocols: what a model may learn from, who is judged, by what. Each is a global split at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from contracts import catalogue as catalogues
from contracts import lake
from contracts.catalogue import Edition
from contracts.cli import timed
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import clock_seconds, midnight_seconds
from contracts.settings import Settings
from contracts.tables import EVENTS, INGEST_COUNTS
from models.behaviours import Behaviours, Known
from models.catalogue import CATALOGUE_COLUMNS, Catalogue
from models.encoder_training import Judge
from models.evaluation import Yardstick, segments
from models.excluded import Excluded
from models.fit import TrainingData
from models.histories import DAY, Histories, basket_ids
from models.item_state import DailyCounts
from models.metrics import Relevant
from models.ragged import starts_of
from nightshift.bench_model.files import Sequences, read

STEP = 7 * DAY
"""Time from one event of a sequence to the next, where the file has no times: the length of a window."""
LAST = 20_000 * DAY
"""When everyone's last event is, in such a file."""
NEWEST = 2_000
"""Newest events of a sequence that are kept."""
JUDGED = 3
"""Events that a user of a sequence needs to be judged: one to learn from, one to be chosen on, one to be tested on."""


@dataclass(frozen=True)
class Case:
    """One split: all events, and the window that is to be predicted."""

    name: str
    catalogue: Catalogue
    users: list[str]
    histories: Histories  # all events, those of the window too
    behaviours: Behaviours
    now: int  # where the window begins, seconds
    horizon: int  # seconds
    exclude_seen_days: Mapping[int, int]

    @cached_property
    def data(self) -> TrainingData:
        """What a model may learn from: nothing at or after now."""
        before = self.now - self.horizon
        return TrainingData(
            self.catalogue,
            self.users,
            self.histories.before(self.now),
            Judge(self.histories.before(before), self._taken(before, self.now)),
            self.behaviours,
            before,
            self.now,
            self.exclude_seen_days,
        )

    @cached_property
    def everyone(self) -> Known:
        """What is known of everyone."""
        return Known.of(self.data.histories, self.behaviours.seen_in(self.data.histories), self.now)

    @cached_property
    def judged(self) -> tuple[np.ndarray, Relevant, Excluded]:
        """Users with a history and something relevant that may be shown; what it is; what must not be shown."""
        excluded = self.data.excluded(self.now)
        relevant = excluded.out_of(self._taken(self.now, self.now + self.horizon), len(self.catalogue))
        users = np.flatnonzero((relevant.counts > 0) & (self.everyone.past.lengths > 0))
        if not len(users):
            raise InputError(f"{self.name}: nobody can be judged, no user has events before and inside the window.")
        return users, relevant.take(users), excluded.take(users)

    @cached_property
    def measure(self) -> tuple[Known, dict[str, Relevant], Yardstick]:
        """What is known of the judged users, what they took by segment, and by what segments are drawn."""
        users, relevant, _ = self.judged
        known, items = self.everyone, len(self.catalogue)
        holders = np.unique(known.past.users * items + known.past.items) % items
        judged = known.take(users)
        yardstick = Yardstick.of(
            self.catalogue,
            DailyCounts.of(known),
            np.bincount(holders, minlength=items).astype(np.float32),
            float(np.median(judged.past.lengths)),
        )
        return judged, segments(judged, relevant, yardstick), yardstick

    def _taken(self, start: int, end: int) -> Relevant:
        inside = self.histories.between(start, end)
        return Relevant.from_histories(inside.select(self.behaviours.are_targets(inside)))


def leave_one_out(name: str, sequences: Sequences) -> Case:
    """Each user's last item is the test, the one before it validation; items that the user had are not shown again.

    The k-th last event of everyone lies k windows back, so that leaving one out is a split in time like any other. A
    user with too few events is not judged: their last event lies before the test, like everything else of them.
    """
    length = np.array([len(items) for items in sequences.items], dtype=np.int64)
    user = np.repeat(np.arange(len(length)), length)
    item = np.array([each for items in sequences.items for each in items], dtype=np.int32)
    from_end = np.concatenate([np.arange(size)[::-1] for size in length]) if len(length) else np.zeros(0, np.int64)
    back = from_end + (length < JUDGED)[user]
    kept = back < NEWEST
    histories = Histories.from_events(
        len(length), user[kept], item[kept], np.zeros(kept.sum(), np.int32), LAST - back[kept] * STEP
    )
    ever = (NEWEST + 1) * STEP // DAY
    return Case(name, sequences.catalogue, sequences.users, histories, _taken(), LAST, STEP, {0: ever})


def leave_one_out_of(sequences: Path, texts: Path, settings: Settings) -> Case:
    """`leave_one_out` of files.

    Raises:
        InputError: they cannot be read.
    """
    with timed(f"Reading {sequences.name} and {texts.name}"):
        return leave_one_out(f"leave-one-out of {sequences.name}", read(sequences, texts, settings.ingest.item_text))


def validation_of(case: Case) -> Case:
    """The same split a window earlier: its validation window is what is judged, and its test window is gone."""
    name = f"validation of {case.name}"
    return replace(case, name=name, histories=case.histories.before(case.now), now=case.now - case.horizon)


def _taken() -> Behaviours:
    return Behaviours(("taken",), (1.0,), (0,))


@dataclass(frozen=True)
class Shop:
    """The shop of the lake as arrays."""

    catalogue: Catalogue
    users: list[str]
    histories: Histories
    behaviours: Behaviours
    exclude_seen_days: Mapping[int, int]
    horizon: int  # seconds


def last_window(settings: Settings, until: date | None, back: int = 0) -> tuple[date, int]:
    """Where the last window begins, and its days; without ``until``, so many before the last that the lake has in full.

    Raises:
        InputError: the window is not over, or nothing was taken in.
    """
    days = settings.splits.window_days or 7
    taken_in = [row[C.DS] for row in lake.rows(settings, INGEST_COUNTS)] if lake.exists(settings, INGEST_COUNTS) else []
    if not taken_in:
        raise InputError(
            f"{settings.home} has taken in no logs: nothing to learn from. Take in some first (nightshift history), or "
            "give --sequences and --texts."
        )
    last: date = max(taken_in) + timedelta(days=1 - days)
    if until and until > last:
        raise InputError(
            f"The window of {days} days from {until} is not over in {settings.home}: logs are taken in up to "
            f"{max(taken_in)}, so the last one that can be predicted begins on {last}."
        )
    return until or last - timedelta(days=back * days), days


@timed("Reading the lake")
def read_shop(settings: Settings, until: date, horizon_days: int) -> Shop:
    """Everything that was taken in of days before ``until``.

    Raises:
        InputError: nothing was.
    """
    zone = settings.shop.zone
    known = lake.known_before(until, pads.field, zone)
    if not lake.exists(settings, EVENTS):
        raise InputError(f"Table {lake.path(settings, EVENTS)} is not there: take in logs first (nightshift history).")
    columns = [C.USER_ID, C.ITEM_ID, C.BEHAVIOUR, C.EVENT_TIME, C.SESSION_ID, C.RATING]
    rows = lake.arrow(settings, EVENTS, columns, known)
    if not rows.num_rows:
        raise InputError(f"Table {lake.path(settings, EVENTS)} has no events before {until}.")
    items = Catalogue.from_arrow(catalogues.arrow(settings, Edition.before(until), CATALOGUE_COLUMNS))
    behaviours = Behaviours.of(settings.ingest.behaviours, settings.ingest.targets, settings.ingest.scale)
    users = sorted(pc.unique(rows[C.USER_ID]).to_pylist())
    session = rows[C.SESSION_ID].combine_chunks().dictionary_encode()
    histories = Histories.from_events(
        len(users),
        _index(rows[C.USER_ID], users),
        items.positions(rows[C.ITEM_ID].to_numpy()),
        _index(rows[C.BEHAVIOUR], list(behaviours.names)).astype(np.int32),
        clock_seconds(rows[C.EVENT_TIME], zone),
        pc.fill_null(pc.add(session.indices, 1), 0).to_numpy(zero_copy_only=False).astype(np.int64),
        rows[C.RATING].to_numpy(),
    )
    rules = {behaviours.names.index(name): days for name, days in settings.scoring.exclude_seen_days.items()}
    return Shop(items, users, histories, behaviours, rules, horizon_days * DAY)


def _index(values: object, known: list[str]) -> np.ndarray:
    found: np.ndarray = pc.fill_null(pc.index_in(values, value_set=pa.array(known)), -1).to_numpy()
    return found


def next_days(shop: Shop, until: date, weeks: int) -> Iterator[Case]:
    """The next days, refitted for each of so many windows, the last one of which begins ``until``."""
    days = shop.horizon // DAY
    for week in range(weeks - 1, -1, -1):
        begins = until - timedelta(days=week * days)
        yield Case(
            f"next {days} days from {begins}", shop.catalogue, shop.users, shop.histories, shop.behaviours,
            midnight_seconds(begins), shop.horizon, shop.exclude_seen_days,
        )  # fmt: skip


def last_basket(shop: Shop) -> Case:
    """Each user's last basket, from all of their baskets before.

    Everyone's clock is moved so that their last baskets begin at one moment: the days between baskets stay.
    """
    targets = shop.histories.select(shop.behaviours.are_targets(shop.histories) & (shop.histories.items >= 0))
    basket = basket_ids(targets)
    begins = np.zeros(len(targets), dtype=np.int64)
    first = starts_of(basket)
    begins[targets.users[first]] = targets.times[first]  # the last of a user's baskets stays
    end = np.zeros(len(targets), dtype=np.int64)
    end[targets.users] = targets.times
    past = shop.histories.select(shop.histories.times <= end[shop.histories.users])
    moved = past.times - begins[past.users] + LAST
    histories = replace(past, times=moved)
    return Case(
        "last basket", shop.catalogue, shop.users, histories, shop.behaviours, LAST, shop.horizon,
        shop.exclude_seen_days,
    )  # fmt: skip
