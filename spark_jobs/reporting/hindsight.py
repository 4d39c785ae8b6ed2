"""How a night's lists met the target events of the 7 days after it, next to what simple rules would have given.

Relevant are the distinct items of the target events of a user with a list in [ds + 1, ds + 8), days of the shop's time
zone; users without any are left out. The baselines are made from what was known before ds + 1. Of a large shop a fixed
sample of users is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.interval import Interval, clock_seconds, midnight, midnight_seconds
from contracts.settings import Baselines, Settings
from contracts.tables import EVENTS, RECOMMENDATIONS
from models.baselines.base import Baseline, most_first
from models.baselines.own_repeats import OwnRepeats, own_repeats_name
from models.baselines.popular import Popular, popular_name
from models.behaviours import Behaviours, Known
from models.excluded import Excluded
from models.histories import DAY, Histories, Ints
from models.metrics import Estimate, Relevant, accuracy, estimate, paired_difference
from models.ragged import indptr_of, padded
from spark_jobs.reporting.sampling import users_of

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
    chosen = users_of(settings, ds, max_users)
    users = pa.array(sorted(chosen.users), pa.string())
    of_chosen = (pads.field(C.DS) == ds) & pads.field(C.USER_ID).isin(users)
    rows = lake.few(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS, C.MODEL_ID], of_chosen).sort_by(C.USER_ID)
    # baselines break ties by the item's index: the order of the table's rows must not decide
    items = catalogue.arrow(settings, Edition(ds), [C.ITEM_ID])[C.ITEM_ID].unique().sort()
    listed = rows[C.ITEMS].combine_chunks()
    indptr = indptr_of(pc.list_value_length(listed).to_numpy(zero_copy_only=False))
    shown = padded(indptr, _codes(pc.struct_field(listed.flatten(), C.ITEM_ID), items), N, -1)
    return PublishedLists(ds, rows[C.MODEL_ID][0].as_py(), users, shown, items, chosen.of)


def ingested_targets(settings: Settings, lists: PublishedLists) -> pa.Table:
    """Target events of the judged users in the window; a late one counts on the day it happened."""
    days, time, zone = window(lists.ds), pads.field(C.EVENT_TIME), settings.shop.zone
    happened = (time >= midnight(days.start, zone)) & (time < midnight(days.end, zone))
    return _of_judged(settings, lists, (pads.field(C.DS) >= days.start) & happened)


def judge(settings: Settings, lists: PublishedLists, targets: pa.Table, source: str) -> Hindsight:
    """Judges a night's lists by ``targets``: user, item and time of the judged users' target events in its window."""
    now = window(lists.ds).start
    zone = settings.shop.zone
    relevant = Relevant.from_histories(_histories(targets, lists, zone))
    judged = np.flatnonzero(relevant.counts)
    past = _histories(_of_judged(settings, lists, lake.known_before(now, pads.field, zone)), lists, zone)
    ranked = ranked_lists(lists, past, _popular(settings, lists, past, now), now, settings.baselines)
    values, gains = compare({name: items[judged] for name, items in ranked.items()}, relevant.take(judged))
    return Hindsight(lists.ds, lists.model_id, source, lists.users_with_list, len(judged), values, gains)


def ranked_lists(lists: PublishedLists, past: Histories, popular: Ints, now: date, rules: Baselines) -> dict[str, Ints]:
    """Lists of each recommender for the same users, [users, N], from their ``past`` and the ``popular`` items."""
    known = Known.of(past, Behaviours(("target",), (1.0,), (0,)), midnight_seconds(now))

    def made(baseline: Baseline) -> Ints:
        given = baseline.knowing(popular, len(lists.catalogue))
        return given.recommend(known, N, Excluded.nothing(len(past)))

    own, repeats, popular_ones = recommenders(rules)
    return {own: lists.items, repeats: made(OwnRepeats(rules)), popular_ones: made(Popular(rules))}


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


def _popular(settings: Settings, lists: PublishedLists, past: Histories, now: date) -> Ints:
    """Items by everyone's target events of the last days that the night knew; all of the judged users settle ties."""
    zone, days = settings.shop.zone, settings.baselines.popular_days
    is_recent = pads.field(C.EVENT_TIME) >= midnight(now - timedelta(days=days), zone)
    where = lake.known_before(now, pads.field, zone) & is_recent & _are_targets(settings)
    counted = lake.counts(settings, EVENTS, [C.ITEM_ID], where)
    item, size = _codes(counted[C.ITEM_ID], lists.catalogue), len(lists.catalogue)
    recent = np.bincount(item[item >= 0], counted[lake.COUNT].to_numpy()[item >= 0], minlength=size)
    older = past.before(midnight_seconds(now) - days * DAY)
    ever = recent + np.bincount(older.items, minlength=size)
    return most_first(recent, ever, ever)


def _are_targets(settings: Settings) -> pads.Expression:
    """Which rows of `events` are target events."""
    is_target: pads.Expression = settings.ingest.target_events.are(pads.field, pads.Expression.is_null)
    return is_target


def _of_judged(settings: Settings, lists: PublishedLists, where: pads.Expression) -> pa.Table:
    """User, item and time of target events of the judged users."""
    theirs = where & pads.field(C.USER_ID).isin(lists.users) & _are_targets(settings)
    return lake.few(settings, EVENTS, [C.USER_ID, C.ITEM_ID, C.EVENT_TIME], theirs)


def _histories(events: pa.Table, lists: PublishedLists, zone: ZoneInfo) -> Histories:
    """Events of the judged users as their histories."""
    items = _codes(events[C.ITEM_ID], lists.catalogue)
    seconds = clock_seconds(events[C.EVENT_TIME], zone)
    users = _codes(events[C.USER_ID], lists.users)
    return Histories.from_events(len(lists.users), users, items, np.zeros_like(items), seconds)


def _codes(values: Any, known: pa.Array) -> Ints:
    """Index of each of ``values`` in ``known``, -1 where it is not in it."""
    codes = pc.fill_null(pc.index_in(values, value_set=known), -1)
    # a column in chunks has no such argument
    loose = codes.to_numpy(zero_copy_only=False) if isinstance(codes, pa.Array) else codes.to_numpy()
    return np.array(loose, dtype=np.int32)
