"""Splits of a snapshot as arrays: all users, or of a large shop a sample that stays."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.tables import SEQUENCES
from models.store.snapshot import Split, read_split
from tests.factories import shop_catalogue
from tests.lakes import ArrowLake


@pytest.fixture
def lake(settings: Settings) -> ArrowLake:
    return ArrowLake(settings)


def write(lake: ArrowLake, users: int) -> None:
    rows = [
        {
            C.SNAPSHOT_ID: "s1", C.SPLIT: "test", C.USER_ID: f"u{user:04d}", C.ITEM_IDS: [f"i{user % 10:02d}", "i11"],
            C.BEHAVIOURS: ["purchase"] * 2, C.TIMES: [1, 2], C.SESSIONS: [1, 2], C.RATINGS: None, C.TARGETS: ["i03"],
        }
        for user in range(users)
    ]  # fmt: skip
    lake.write(SEQUENCES, rows)


def read(lake: ArrowLake, at_most: int) -> Split:
    return read_split(lake.settings, shop_catalogue(), "s1", "test", ["purchase"], at_most)


def test_few_users_are_all_read_in_order(lake: ArrowLake, caplog: pytest.LogCaptureFixture) -> None:
    write(lake, 30)
    with caplog.at_level(logging.INFO, "nightshift"):
        split = read(lake, 30)
    assert split.user_ids == [f"u{user:04d}" for user in range(30)]
    np.testing.assert_array_equal(split.histories.items[::2], np.arange(30) % 10)
    assert "left out" not in caplog.text


def test_of_many_users_a_sample_is_read_that_stays_when_there_are_more(
    lake: ArrowLake, caplog: pytest.LogCaptureFixture
) -> None:
    write(lake, 1000)
    with caplog.at_level(logging.INFO, "nightshift"):
        split = read(lake, 200)
    assert "Split test: about 200 of 1,000 users, the others are left out ([training] users)." in caplog.text
    assert 150 < len(split.user_ids) < 250
    assert split.histories.items[::2].tolist() == [int(user[1:]) % 10 for user in split.user_ids]
    assert len(split.relevant.counts) == len(split.user_ids)
    write(lake, 1250)
    later = set(read(lake, 200).user_ids)
    kept = [user for user in split.user_ids if user in later]
    assert len(kept) > 0.7 * len(split.user_ids)
    assert {user for user in later if user < "u1000"} <= set(split.user_ids)
