"""How a night's lists met the target events of the 7 days after it, next to what simple rules would have given.

Relevant are the distinct items of the target events of a user with a list in [ds + 1, ds + 8), days of the shop's time
zone; users without any are left out. The baselines are made from what was known before ds + 1. Of a large shop a fixed
sample of users is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.fallback import is_own
from contracts.interval import Interval, clock_seconds, midnight, midnight_seconds
from contracts.settings import Baselines, Settings
from contracts.tables import EVENTS, RECOMMENDATIONS
from models.baselines.base import Baseline
from models.baselines.own_repeats import OwnRepeats, own_repeats_name
from models.baselines.popular import Popular, popular_name
from models.behaviours import Behaviours, Known
from models.excluded import Excluded
from models.histories import Histories, Ints
from models.metrics import Estimate, Relevant, accuracy, estimate, paired_difference
from models.ragged import indptr_of, padded

DAYS = 7
"""Length of the window that a night is judged by."""
N = 10
"""Items of each list that are judged."""
MAX_USERS = 50_000
"""Users judged at most: more would not make the interval visibly narrower."""

METRICS = {f"ndcg@{N}": f"NDCG@{N}", f"recall@{N}": f"recall@{N}", f"hit_rate@{N}": f"hit rate@{N}"}
"""The metrics, and how people are shown them."""

LISTS = "recommendations"
"""The night's own lists, as the table names recommenders."""

FROM_EVENTS, FROM_LANDING = "events", "landing"
"""Sources of the target events: the table, or log files whose days have not been ingested."""

ByMetric = dict[str, Estimate]


@dataclass(frozen=True)
class Hindsight:
    """How the lists of a night fared."""

    ds: date
    model_id: str
    source: str  # FROM_EVENTS or FROM_LANDING
    users_with_list: int
    users: int  # of them, those judged: with a target event in the window
    values: dict[str, ByMetric]  # by recommender, the night's lists first: mean over the judged users
    gains: dict[str, ByMetric]  # by baseline: lists minus baseline, on the same users


@dataclass(frozen=True)
class PublishedLists:
    """The lists of (a sample of) a night's users."""

    ds: date
    model_id: str
    users: pa.Array  # of user ids, ascending
    items: Ints  # [users, N], index into the catalogue, -1 pads
    catalogue: pa.Array  # of item ids, ascending
    users_with_list: int


def recommenders(rules: Baselines) -> dict[str, str]:
    """Names in the table and names for people of the lists, the own repeats and the popular items, in this order."""
    return {
        LISTS: LISTS,
        own_repeats_name(rules): "own decayed repeats",
        popular_name(rules): f"popular in the last {rules.popular_days} days",
    }


def window(ds: date) -> Interval:
    """The days after a night by which it is judged."""
    return Interval(ds + timedelta(days=1), ds + timedelta(days=1 + DAYS))


def published_lists(settings: Settings, ds: date, max_users: int = MAX_USERS) -> PublishedLists:
    """Reads the lists that are judged.

    Raises:
        InputError: nothing was published for the night, or its lists were deleted.
    """
    where = (pads.field(C.DS) == ds) & is_own(pads.field)
    users = lake.arrow(settings, RECOMMENDATIONS, [C.USER_ID], where)[C.USER_ID].to_pylist()
    if not users:
        raise InputError(
            f"Table {lake.path(settings, RECOMMENDATIONS)} has no lists of {ds}: that night was not published."
        )
    chosen = pa.array(sorted(sample(users, max_users)), pa.string())
    of_chosen = (pads.field(C.DS) == ds) & pads.field(C.USER_ID).isin(chosen)
    rows = lake.arrow(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS, C.MODEL_ID], of_chosen).sort_by(C.USER_ID)
    # baselines break ties by the item's index: the order of the table's rows must not decide
    items = catalogue.arrow(settings, Edition(ds), [C.ITEM_ID])[C.ITEM_ID].unique().sort()
    listed = rows[C.ITEMS].combine_chunks()
    indptr = indptr_of(pc.list_value_length(listed).to_numpy(zero_copy_only=False))
    shown = padded(indptr, _codes(pc.struct_field(listed.flatten(), C.ITEM_ID), items), N, -1)
    return PublishedLists(ds, rows[C.MODEL_ID][0].as_py(), chosen, shown, items, len(users))


def sample(users: Sequence[str], count: int) -> Sequence[str]:
    """At most ``count`` users: always the same ones, whatever the order and whoever else there is."""
    if len(users) <= count:
        return users
    return sorted(users, key=lambda user: blake2b(user.encode(), digest_size=8).digest())[:count]


def ingested_targets(settings: Settings, lists: PublishedLists) -> pa.Table:
    """Target events of the judged users in the window; a late one counts on the day it happened."""
    days, time, zone = window(lists.ds), pads.field(C.EVENT_TIME), settings.shop.zone
    happened = (time >= midnight(days.start, zone)) & (time < midnight(days.end, zone))
    in_window = (pads.field(C.DS) >= days.start) & happened
    return _target_events(settings, in_window & pads.field(C.USER_ID).isin(lists.users))


def judge(settings: Settings, lists: PublishedLists, targets: pa.Table, source: str) -> Hindsight:
    """Judges a night's lists by ``targets``: user, item and time of the target events in its window."""
    now = window(lists.ds).start
    zone = settings.shop.zone
    future = _histories(targets, lists, zone).take(np.arange(len(lists.users)))
    relevant = Relevant.from_histories(future)
    judged = np.flatnonzero(relevant.counts)
    past = _histories(_known_targets(settings, lists, now), lists, zone)
    ranked = ranked_lists(lists.items, past, now, settings.baselines)
    values, gains = compare({name: items[judged] for name, items in ranked.items()}, relevant.take(judged))
    return Hindsight(lists.ds, lists.model_id, source, lists.users_with_list, len(judged), values, gains)


def ranked_lists(items: Ints, past: Histories, now: date, rules: Baselines) -> dict[str, Ints]:
    """Lists of each recommender for the same users, [users, N]; ``past`` may hold more users at its end."""
    users = np.arange(len(items))
    everyone = Known.of(past, Behaviours(("target",), (1.0,), (0,)), midnight_seconds(now))
    size = int(past.items.max(initial=0)) + 1

    def made(baseline: Baseline) -> Ints:
        return baseline.fit(everyone, size).recommend(everyone.take(users), N, Excluded.nothing(len(users)))

    lists, repeats, popular_ones = recommenders(rules)
    return {lists: items, repeats: made(OwnRepeats(rules)), popular_ones: made(Popular(rules))}


def compare(ranked: Mapping[str, Ints], relevant: Relevant) -> tuple[dict[str, ByMetric], dict[str, ByMetric]]:
    """Values of each recommender, and gains of the night's lists over each other one, by metric."""
    scores = {
        name: {f"{metric}@{N}": each for metric, each in accuracy(items, relevant, N).items()}
        for name, items in ranked.items()
    }
    values = {name: {metric: estimate(each[metric]) for metric in METRICS} for name, each in scores.items()}
    gains = {
        name: {metric: paired_difference(scores[LISTS][metric], each[metric]) for metric in METRICS}
        for name, each in scores.items()
        if name != LISTS
    }
    return values, gains


def _known_targets(settings: Settings, lists: PublishedLists, now: date) -> pa.Table:
    """Target events that the night knew: all of the judged users, and those that make the popular items."""
    zone, first = settings.shop.zone, now - timedelta(days=settings.baselines.popular_days)
    recent = pads.field(C.EVENT_TIME) >= midnight(first, zone)
    needed = recent | pads.field(C.USER_ID).isin(lists.users)
    return _target_events(settings, lake.known_before(now, pads.field, zone) & needed)


def _target_events(settings: Settings, where: pads.Expression) -> pa.Table:
    """User, item and time of the target events of some rows of `events`."""
    is_target = settings.ingest.target_events.are(pads.field, pads.Expression.is_null)
    return lake.arrow(settings, EVENTS, [C.USER_ID, C.ITEM_ID, C.EVENT_TIME], where & is_target)


def _histories(events: pa.Table, lists: PublishedLists, zone: ZoneInfo) -> Histories:
    """Events as histories of the judged users; all other users together are one more, after the last."""
    users = _codes(events[C.USER_ID], lists.users)
    users[users < 0] = len(lists.users)
    seconds = clock_seconds(events[C.EVENT_TIME], zone)
    items = _codes(events[C.ITEM_ID], lists.catalogue)
    return Histories.from_events(len(lists.users) + 1, users, items, np.zeros_like(items), seconds)


def _codes(values: Any, known: pa.Array) -> Ints:
    """Index of each of ``values`` in ``known``, -1 where it is not in it."""
    codes = pc.fill_null(pc.index_in(values, value_set=known), -1)
    # a column in chunks has no such argument
    loose = codes.to_numpy(zero_copy_only=False) if isinstance(codes, pa.Array) else codes.to_numpy()
    return np.array(loose, dtype=np.int32)
