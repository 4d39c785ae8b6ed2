"""A night's users are sampled as if all of them had been sorted, and nothing of all users is ever in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from contracts.arrow_types import schema
from contracts.columns import Columns as C
from contracts.sampling import sample, shuffled
from contracts.settings import Settings
from contracts.tables import EVENTS, ITEMS, RECOMMENDATIONS, Table
from models.known_ids import KnownIds
from models.profile import Profile
from spark_jobs.quality.week import week
from spark_jobs.reporting import examples, hindsight
from spark_jobs.reporting.hindsight import FROM_EVENTS
from spark_jobs.reporting.sampling import users_of
from tests.factories import fallback_row, item, ranked, recommended
from tests.lakes import ArrowLake

NIGHT = date(2017, 12, 23)
NOBODY = KnownIds.of([])
PROFILE = Profile(
    NIGHT - timedelta(days=35), NIGHT - timedelta(days=7), 0, {}, {}, (None,) * 7, None, None, NOBODY, NOBODY
)
"""Of a training that has seen nobody and nothing."""
ITEM_IDS = np.array([f"i{number}" for number in range(50)])


def test_a_sample_does_not_depend_on_order_or_on_who_else_is_there() -> None:
    users = [f"u{n}" for n in range(100)]
    chosen = sample(users, 10)
    assert chosen == sorted(users, key=shuffled)[:10]
    assert sample(users[::-1], 10) == chosen
    assert set(sample(users[:50], 10)) >= set(chosen) & set(users[:50])
    assert sorted(sample(iter(users), 100)) == sorted(users)


def test_users_of_a_night_are_counted_and_sampled_without_the_row_to_fall_back_on(arrow_lake: ArrowLake) -> None:
    listed = [recommended(f"u{n}", ranked(("1", 1.0, "popular", None)), ds=NIGHT) for n in range(9)]
    other = recommended("v", ranked(("1", 1.0, "popular", None)), ds=NIGHT - timedelta(days=1))
    arrow_lake.write(RECOMMENDATIONS, [*listed, fallback_row("1", ds=NIGHT), other])
    found = users_of(arrow_lake.settings, NIGHT, 4)
    assert found.users == sorted((f"u{n}" for n in range(9)), key=shuffled)[:4]
    assert found.of == 9


def table_of(table: Table, columns: dict[str, pa.Array]) -> pa.Table:
    """Rows from some columns; the others are null."""
    rows = len(next(iter(columns.values())))
    filled = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema(table)]
    return pa.table(filled, pa.schema([field.with_nullable(True) for field in schema(table)]))


def write_shop(shop: ArrowLake, users: int) -> None:
    """A night with so many users, who had three target events each in its last week, and one after it.

    Files have row groups of 500 rows, so that no part of them grows with the shop, as in a large one.
    """
    ids = np.char.add("user-", np.arange(users).astype(str))
    random = np.random.default_rng(0)
    listed = random.integers(0, len(ITEM_IDS), 5 * users)
    ranks = pa.array(np.tile(np.arange(1, 6, dtype=np.int32), users))
    names = pa.array(ITEM_IDS[listed])
    sources = pa.array(["popular"]).take(pa.array(np.zeros(len(listed), dtype=np.int32)))
    kind = schema(RECOMMENDATIONS).field(C.ITEMS).type
    rows = pa.StructArray.from_arrays(
        [ranks, names, pa.array(np.ones(len(listed))), sources, pa.nulls(len(listed), pa.string())],
        fields=list(kind.value_type),
    )
    items = pa.ListArray.from_arrays(pa.array(np.arange(0, 5 * users + 1, 5, dtype=np.int32)), rows, type=kind)
    of_night = {
        C.DS: pa.array([NIGHT] * users),
        C.USER_ID: pa.array(ids),
        C.ITEMS: items,
        C.MODEL_ID: pa.array(["m1"] * users),
    }
    shop.write(RECOMMENDATIONS, table_of(RECOMMENDATIONS, of_night), row_group=500)
    day = np.repeat(np.array([-3, -1, 0, 2]), users)
    taken = np.datetime64(NIGHT, "us") + day.astype("timedelta64[D]") + np.timedelta64(12, "h")
    events = {
        C.EVENT_ID: pa.array(np.arange(4 * users).astype(str)),
        C.USER_ID: pa.array(np.tile(ids, 4)),
        C.ITEM_ID: pa.array(ITEM_IDS[random.integers(0, len(ITEM_IDS), 4 * users)]),
        C.BEHAVIOUR: pa.array(["purchase"] * (4 * users)),
        C.EVENT_TIME: pa.array(taken).cast(pa.timestamp("us", "UTC")),
        C.DS: pa.array(taken.astype("datetime64[D]")),
    }
    shop.write(EVENTS, table_of(EVENTS, events), row_group=500)
    shop.write(ITEMS, [item(each) for each in ITEM_IDS.tolist()])


def in_hindsight(settings: Settings) -> int:
    lists = hindsight.published_lists(settings, NIGHT, max_users=50)
    return hindsight.judge(settings, lists, hindsight.ingested_targets(settings, lists), FROM_EVENTS).users


def in_examples(settings: Settings) -> int:
    return len(examples.examples(settings, NIGHT))


def in_drift(settings: Settings) -> int:
    return week(settings, NIGHT, PROFILE).new_users.of


POOLS: list[pa.MemoryPool] = []
"""Kept to the end: what came out of one may be given back at any time."""


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most memory that Python and Arrow take within, in bytes."""
    found: list[int] = []
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0))
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


@pytest.mark.parametrize(("read", "gives"), [(in_hindsight, 50), (in_examples, 3), (in_drift, None)])
def test_ten_times_as_many_users_take_no_more_memory(
    arrow_lake: ArrowLake, monkeypatch: pytest.MonkeyPatch, read: Callable[[Settings], int], gives: int | None
) -> None:
    monkeypatch.setattr(examples, "CONSIDERED", 50)
    peaks = []
    for users in (1_000, 10_000):
        write_shop(arrow_lake, users)
        read(arrow_lake.settings)  # what is imported and remembered once
        with peak() as found:
            # of the three events up to the night, all users have three
            assert read(arrow_lake.settings) == (3 * users if gives is None else gives)
        peaks += found
    few, many = peaks
    assert many < 1.2 * few
