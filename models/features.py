"""What a shop knows about a user and a candidate item, one row a candidate. No loops over users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import Together, trip_ids
from models.histories import DAY, Floats, Histories, Ints, Longs

HALF_LIVES = (15.0, 30.0, 60.0, 90.0, 180.0)
"""Half-lives in days of the decayed shares."""
ATTRIBUTES = ("department", "category", "type", "brand")
"""The catalogue's attributes, in the order of the rows of their codes."""
RATE_ATTRIBUTE = 2
"""The attribute towards which rates of rarely bought items are pulled: the type."""
TASTE = HALF_LIVES.index(60.0)
"""The half-life by which attributes and ranks are weighed."""
NEVER = np.float32(999.0)
"""Days or trips since something that never happened."""
PRIOR = 10.0
"""Observations at which an item's own rate weighs as much as its type's."""

_OWN = (
    *(f"share_{days:g}" for days in HALF_LIVES),
    "own_rank",
    "own_count",
    "own_trip_rate",
    "own_weekly_rate",
    "own_last_week",
    "own_week_2",
    "own_week_3",
    "own_week_4",
    "own_weeks_5_8",
    "own_last_trip",
    "days_since",
    "days_since_first",
    "trips_since",
    "own_gap",
    "own_last_gap",
    "days_since_over_own_gap",
    "days_since_over_last_gap",
    "days_since_over_item_gap",
    "due_days",
)
_ITEM = (
    "item_week",
    "item_month",
    "item_quarter",
    "item_last_days",
    "item_trend_month",
    "item_trend_quarter",
    "item_share_of_type",
    "item_buyers",
    "item_purchases_per_buyer",
    "item_rebuy",
    "item_rebuy_week",
    "item_gap",
)
_USER = (
    "user_trips_week",
    "user_trips_month",
    "user_trips_quarter",
    "user_days_since_trip",
    "user_trip_gap",
    "user_trip_size",
    "user_new_rate",
)
_TASTE = tuple(
    f"{attribute}_{what}"
    for attribute in ATTRIBUTES
    for what in ("share", "days_since", "week", "over_gap", "own_part")
)
FEATURES: tuple[str, ...] = (
    *_OWN, *_ITEM, *_USER, *_TASTE, "together", "together_rank", "match", "text",
)  # fmt: skip
"""Name of every column of ``candidate_features``."""


@dataclass(frozen=True)
class DailyCounts:
    """Purchases of each item on each day: what a group-by over the events gives."""

    items: Ints  # [rows]
    days: Ints  # [rows], days since 1970
    purchases: Ints  # [rows]

    @classmethod
    def from_histories(cls, histories: Histories) -> DailyCounts:
        """Counts the events of catalogue items."""
        known = histories.items >= 0
        items, days = histories.items[known].astype(np.int64), histories.times[known] // DAY
        base = int(days.max(initial=0)) + 1
        keys, counts = np.unique(items * base + days, return_counts=True)
        return cls((keys // base).astype(np.int32), (keys % base).astype(np.int32), counts.astype(np.int32))


@dataclass(frozen=True)
class Popularity:
    """Purchases of each item in the last days before now, [items] each."""

    last_3: Floats
    last_7: Floats
    last_28: Floats
    last_91: Floats


@dataclass(frozen=True)
class Habits:
    """How each item is usually bought again, pulled towards its type where little is known, [items] each."""

    buyers: Floats
    purchases_per_buyer: Floats
    rebuy: Floats  # share of the buyers that bought again
    rebuy_week: Floats  # share of the purchases that were followed by another within 7 days
    gap: Floats  # days between two purchases of one user, geometric mean


@dataclass(frozen=True)
class ItemStats:
    """What is known about each item apart from any user."""

    codes: Ints  # [attributes, items], codes of ATTRIBUTES
    popularity: Popularity
    habits: Habits


@dataclass(frozen=True)
class Candidates:
    """Items to rank for each user, in compressed-row form."""

    indptr: Longs  # [users + 1]
    items: Ints  # [candidates], ascending in a user
    sources: NDArray[np.int8]  # [candidates], index into contracts.tables.SOURCES

    @property
    def users(self) -> Ints:
        """The user of every candidate, [candidates]."""
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int32), np.diff(self.indptr))


def popularity(counts: DailyCounts, now: int, items: int) -> Popularity:
    """Counts of the whole UTC days before ``now`` (seconds); the day that holds ``now`` is not over."""
    age = now // DAY - counts.days

    def last(days: int) -> Floats:
        inside = (age > 0) & (age <= days)
        summed = np.bincount(counts.items[inside], counts.purchases[inside], minlength=items)
        return summed.astype(np.float32)

    return Popularity(last(3), last(7), last(28), last(91))


def habits(histories: Histories, now: int, codes: Ints) -> Habits:
    """Re-buying habits from all that happened before ``now``; ``codes`` are [attributes, items]."""
    items = codes.shape[1]
    past = _past(histories, now)
    pairs = _pairs(past.users, past.items, items)
    item = (pairs.keys % items).astype(np.int64)
    same = np.diff(pairs.group) == 0
    time = past.times[pairs.order]
    gap = (np.diff(time) / DAY)[same]
    gap_item = past.items[pairs.order][1:][same]
    # A purchase counts for the weekly rate once its week is over.
    following = np.append(np.where(same, np.diff(time), np.iinfo(np.int64).max), np.iinfo(np.int64).max)
    over = time <= now - 7 * DAY
    weekly_item = past.items[pairs.order][over]
    types = codes[RATE_ATTRIBUTE]
    buyers = np.bincount(item, minlength=items)
    purchases = np.bincount(past.items, minlength=items)
    return Habits(
        buyers.astype(np.float32),
        (purchases / np.maximum(buyers, 1)).astype(np.float32),
        _shrunk(item, pairs.counts > 1, types),
        _shrunk(weekly_item, following[over] < 7 * DAY, types),
        np.exp(_shrunk(gap_item, np.log(np.maximum(gap, 0.1)), types)),
    )


def _shrunk(item: NDArray[Any], value: NDArray[Any], types: Ints) -> Floats:
    """Mean ``value`` of each item with PRIOR observations of its type's mean, itself so pulled to all."""
    whole = float(np.mean(value)) if len(value) else 0.0
    type_sum = np.bincount(types[item], value, minlength=int(types.max(initial=0)) + 1)
    type_count = np.bincount(types[item], minlength=len(type_sum))
    type_mean = (type_sum + PRIOR * whole) / (type_count + PRIOR)
    total = np.bincount(item, value, minlength=len(types))
    count = np.bincount(item, minlength=len(types))
    return ((total + PRIOR * type_mean[types]) / (count + PRIOR)).astype(np.float32)


@dataclass(frozen=True)
class _Pairs:
    """Events grouped by (user, code): ``order`` sorts them by key, then time."""

    keys: Longs  # [pairs], user * codes + code, ascending
    order: Longs  # [events]
    group: Longs  # [events], pair of each ordered event
    starts: Longs  # [pairs]

    @property
    def counts(self) -> Longs:
        """Number of events of each pair, [pairs]."""
        return np.diff(np.append(self.starts, len(self.order)))

    def sums(self, value: NDArray[Any]) -> Floats:
        """Sums ``value`` [events] over each pair."""
        if not len(self.keys):
            return np.empty(0, dtype=np.float32)
        totals: Floats = np.add.reduceat(value[self.order], self.starts, dtype=np.float32)
        return totals

    def first(self, value: NDArray[Any]) -> NDArray[Any]:
        """``value`` [events] at each pair's oldest event."""
        firsts: NDArray[Any] = value[self.order[self.starts]]
        return firsts

    def last(self, value: NDArray[Any]) -> NDArray[Any]:
        """``value`` [events] at each pair's newest event."""
        lasts: NDArray[Any] = value[self.order[self.starts + self.counts - 1]]
        return lasts


def _pairs(users: Ints, codes: Ints, size: int) -> _Pairs:
    """Groups events by user and code, of ``size`` codes."""
    key = users.astype(np.int64) * size + codes
    order = np.argsort(key, kind="stable")
    in_order = key[order]
    new = np.diff(in_order, prepend=-1) != 0
    starts = np.flatnonzero(new)
    return _Pairs(in_order[starts], order, np.cumsum(new) - 1, starts)


def _past(histories: Histories, now: int) -> Histories:
    return histories.select((histories.times < now) & (histories.items >= 0))


def find(keys: Longs, wanted: Longs) -> Longs:
    """Place of each of ``wanted`` in the ascending ``keys``; ``len(keys)`` where it is missing."""
    place = np.searchsorted(keys, wanted)
    hit = np.append(keys, -1)[place] == wanted
    return np.where(hit, place, len(keys))


@dataclass(frozen=True)
class _Rhythm:
    """Each event's age and trip, and each user's totals."""

    age: Floats  # [events], days
    trips: Longs  # [events], ascending
    trips_ago: Ints  # [events], 0 is the user's last trip
    decays: Floats  # [half-lives, events]
    totals: Floats  # [half-lives, users]


def candidate_features(
    histories: Histories,
    candidates: Candidates,
    stats: ItemStats,
    near: Together,
    match: Floats,
    text: Floats,
    now: int,
) -> Floats:
    """One row of FEATURES for each candidate from what happened before ``now``, [candidates, features]."""
    past = _past(histories, now)
    users, items = candidates.users, candidates.items
    n = stats.codes.shape[1]
    rhythm = _rhythm(past, now)
    pairs = _pairs(past.users, past.items, n)
    place = find(pairs.keys, users.astype(np.int64) * n + items)
    own = _own_table(pairs, rhythm, stats)[place]
    decayed = np.append(pairs.sums(rhythm.decays[TASTE]), np.float32(0))[place]
    return np.hstack(
        [
            own,
            _item_table(stats)[items],
            _user_table(past, pairs, rhythm)[users],
            *(_taste(past, rhythm, codes, users, items, decayed) for codes in stats.codes),
            _together(near, users, items, n),
            match[:, None],
            text[:, None],
        ]
    ).astype(np.float32, copy=False)


def _rhythm(past: Histories, now: int) -> _Rhythm:
    age = ((now - past.times) / DAY).astype(np.float32)
    trips = trip_ids(past)
    users = past.users
    final = np.zeros(len(past), dtype=np.int64)
    final[users] = trips  # the last of a user's trips stays
    decays = np.stack([np.exp2(-age / np.float32(half_life)) for half_life in HALF_LIVES])
    totals = np.stack([np.bincount(users, decay, minlength=len(past)) for decay in decays])
    return _Rhythm(age, trips, (final[users] - trips).astype(np.int32), decays, totals.astype(np.float32))


def _own_table(pairs: _Pairs, rhythm: _Rhythm, stats: ItemStats) -> Floats:
    """The columns of ``_OWN`` for each (user, item) pair of the past, [pairs + 1, columns]; last: no pair."""
    n = stats.codes.shape[1]
    user, item = pairs.keys // n, pairs.keys % n
    sums = [pairs.sums(decay) for decay in rhythm.decays]
    shares = [s / total[user] for s, total in zip(sums, rhythm.totals, strict=True)]
    count = pairs.counts.astype(np.float32)
    since, first = pairs.last(rhythm.age), pairs.first(rhythm.age)
    trips_since, trips_first = pairs.last(rhythm.trips_ago), pairs.first(rhythm.trips_ago)
    span = first - since
    again = count > 1
    item_gap = stats.habits.gap[item]
    own_gap = np.where(again, span / np.maximum(count - 1, 1), NEVER)
    previous = pairs.order[np.maximum(pairs.starts + pairs.counts - 2, 0)]
    last_gap = np.where(again, rhythm.age[previous] - since, NEVER)
    week = np.floor(rhythm.age / 7)
    rows = _stack(
        *shares,
        rank_in_group(user, -sums[TASTE]),
        count,
        count / (trips_first + 1),
        count / np.maximum(first / 7, 1),
        *(pairs.sums(week == w) for w in range(4)),
        pairs.sums((week >= 4) & (week < 8)),
        trips_since == 0,
        since,
        first,
        trips_since,
        own_gap,
        last_gap,
        since / np.maximum(own_gap, 1),
        since / np.maximum(last_gap, 1),
        since / np.maximum(item_gap, 1),
        # Own gaps weigh as many observations as there are, the item's usual gap as two.
        since - (span + 2 * item_gap) / (count + 1),
    )
    return np.vstack([rows, [_missing(name) for name in _OWN]]).astype(np.float32)


def _missing(name: str) -> float:
    """What a column of ``_OWN`` says of an item that the user never took."""
    endless = ("own_rank", "trips_since", "own_gap", "own_last_gap", "due_days")
    return float(NEVER) if name in endless or name.startswith("days_since") else 0.0


def _item_table(stats: ItemStats) -> Floats:
    """The columns of ``_ITEM``, [items, columns]."""
    pop, habit = stats.popularity, stats.habits
    types = stats.codes[RATE_ATTRIBUTE]
    of_type = np.bincount(types, pop.last_91)[types]
    return _stack(
        pop.last_7,
        pop.last_28,
        pop.last_91,
        (pop.last_3 + 1) / (pop.last_7 * (3 / 7) + 1),
        (pop.last_7 + 1) / (pop.last_28 / 4 + 1),
        (pop.last_28 + 1) / (pop.last_91 * (28 / 91) + 1),
        pop.last_91 / np.maximum(of_type, 1),
        habit.buyers,
        habit.purchases_per_buyer,
        habit.rebuy,
        habit.rebuy_week,
        habit.gap,
    )


def _user_table(past: Histories, pairs: _Pairs, rhythm: _Rhythm) -> Floats:
    """The columns of ``_USER``, [users, columns]."""
    n = len(past)
    starts = np.flatnonzero(np.diff(rhythm.trips, prepend=-1))
    trip_user, trip_age = past.users[starts], rhythm.age[starts]
    week, month, quarter = (np.bincount(trip_user[trip_age <= days], minlength=n) for days in (7, 28, 91))
    since = np.full(n, NEVER)
    since[trip_user] = trip_age  # the last of a user's trips stays
    recent = rhythm.age <= 91
    events = np.bincount(past.users[recent], minlength=n)
    firsts = pairs.order[pairs.starts]
    new = np.bincount(past.users[firsts[recent[firsts]]], minlength=n)
    return _stack(
        week,
        month,
        quarter,
        since,
        91 / np.maximum(quarter, 1),
        events / np.maximum(quarter, 1),
        new / np.maximum(events, 1),
    )


def _taste(past: Histories, rhythm: _Rhythm, codes: Ints, users: Ints, items: Ints, decayed: Floats) -> Floats:
    """How the user takes to each candidate's attribute, whose ``codes`` are [items], [candidates, 5].

    Share, days since, events of the last week, due (days since over the usual gap), and the part of it
    that is the candidate's own ``decayed`` count [candidates].
    """
    size = int(codes.max(initial=0)) + 1
    pairs = _pairs(past.users, codes[past.items], size)
    place = find(pairs.keys, users.astype(np.int64) * size + codes[items])
    total = pairs.sums(rhythm.decays[TASTE])
    since = pairs.last(rhythm.age)
    gap = (pairs.first(rhythm.age) - since) / np.maximum(pairs.counts - 1, 1)
    rows = _stack(
        total / rhythm.totals[TASTE][pairs.keys // size],
        since,
        pairs.sums(rhythm.age <= 7),
        since / np.maximum(gap, np.float32(0.5)),
        total,
    )
    found = np.vstack([rows, np.array([0, NEVER, 0, NEVER, 0], dtype=np.float32)])[place]
    found[:, 4] = decayed / np.maximum(found[:, 4], np.float32(1e-9))
    return found


def _together(near: Together, users: Ints, items: Ints, n: int) -> Floats:
    """Co-occurrence score of each candidate and its rank for the user, NEVER without one, [candidates, 2]."""
    owner = np.repeat(np.arange(len(near.indptr) - 1, dtype=np.int64), np.diff(near.indptr))
    place = find(owner * n + near.items, users.astype(np.int64) * n + items)
    rows = _stack(near.scores, rank_in_group(owner, -near.scores))
    return np.vstack([rows, np.array([0, NEVER], dtype=np.float32)])[place]


def rank_in_group(group: Longs, value: NDArray[Any]) -> Longs:
    """Place of each row among its ``group`` (ascending) by ``value``, smallest is 0, ties as they come."""
    order = np.lexsort((value, group))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank


def _stack(*columns: NDArray[Any]) -> Floats:
    """Columns side by side as float32, [rows, columns]."""
    return np.stack([column.astype(np.float32) for column in columns], axis=1)
