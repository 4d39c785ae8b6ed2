"""The profile of a training: what is counted, over which days, and that it survives its files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from models.catalogue import Catalogue
from models.histories import DAY, Histories
from models.known_ids import KnownIds, Newcomers
from models.profile import Bins, Profile, bins_of, medians, share_of_new

END = 17_500 * DAY  # 2017-11-30, a Thursday
CATALOGUE = Catalogue(
    pd.Index(["a", "b", "c"]),
    np.array(["a", "b", "c"], dtype=object),
    np.array([[0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 1, 2]], dtype=np.int32),
    (("food", None), ("x", "y"), (None,), ("ours", "theirs", None)),
    np.ones(3, dtype=np.bool_),
)


def profile_of(*events: tuple[int, int, int, float]) -> Profile:
    """Of events (user, item, behaviour, days before the end); the users are u0 to u2."""
    user, item, behaviour, ago = (np.array(column) for column in zip(*events, strict=True))
    times = (END - ago * DAY).astype(np.int64)
    histories = Histories.from_events(3, user, item.astype(np.int32), behaviour.astype(np.int32), times)
    return Profile.of(histories, CATALOGUE, ["u0", "u1", "u2"], ["view", "purchase"], END)


EVENTS = (
    (0, 0, 0, 100), (0, 0, 1, 20), (1, 1, 0, 20), (0, 0, 0, 1), (0, 2, 1, 1), (1, 0, 0, 0.5), (1, 0, -1, 8),
)  # fmt: skip


def test_it_counts_the_last_four_weeks_and_knows_who_was_there_ever() -> None:
    made = profile_of(*EVENTS)
    assert (made.first, made.end, made.events) == (date(2017, 11, 2), date(2017, 11, 30), 6)
    assert made.behaviours == {"view": 3, "purchase": 2}  # one of a behaviour that the settings do not name any more
    assert made.attributes["department"] == Bins(("food", None), (5, 1, 0))
    assert made.attributes["brand"] == Bins(("ours", "theirs", None), (4, 1, 1, 0))
    assert made.users.newcomers(["u0", "u1", "u2"], np.array([1, 1, 2])) == Newcomers(2, 4)
    assert made.items.newcomers(["a", "b", "c", "d"], np.array([1, 1, 1, 1])) == Newcomers(1, 4)
    # of the three events of the last week, one is of an item that nothing had happened to until two weeks before
    assert made.new_items == 1 / 3
    assert made.new_users == 0
    assert made.weekdays == (None, None, 2.0, None, 2.0, None, None)


def test_it_reads_what_it_wrote_and_an_older_model_has_none(tmp_path: Path) -> None:
    made = profile_of(*EVENTS)
    assert Profile.load(tmp_path) is None
    made.save(tmp_path)
    read = Profile.load(tmp_path)
    assert read is not None
    assert {**vars(read), "items": None, "users": None} == {**vars(made), "items": None, "users": None}
    np.testing.assert_array_equal(read.users.hashes, made.users.hashes)


def test_the_commonest_values_have_bins_ties_in_order_and_empty_ones_none() -> None:
    assert bins_of(("a", None, "c", "d"), np.array([5.0, 7.0, 5.0, 0.0]), 2) == Bins((None, "a"), (7, 5, 5))
    assert bins_of(("a",), np.array([0])) == Bins((), (0,))


def test_a_closed_day_does_not_lower_its_weekday() -> None:
    thursdays = np.zeros(28, dtype=np.int64)
    thursdays[[0, 7, 14, 21]] = [4, 0, 8, 6]
    assert medians(thursdays, date(2017, 11, 2)) == (None, None, None, 6.0, None, None, None)


def test_a_short_training_cannot_tell_who_is_new() -> None:
    assert share_of_new(np.array([0, 1]), np.array([END - DAY, END - 2 * DAY]), END) is None


def test_a_large_shop_is_told_from_a_sample_that_does_not_depend_on_the_others() -> None:
    ids = [f"user {number}" for number in range(4000)]
    sampled = KnownIds.of(ids, max_ids=1000)
    assert len(sampled.hashes) == 1000
    both = [*ids[::2], *(f"other {number}" for number in range(2000))]
    share = sampled.newcomers(both, np.ones(len(both), dtype=np.int64)).share
    assert share is not None
    assert abs(share - 0.5) < 0.05
    assert sampled.newcomers([], np.zeros(0, dtype=np.int64)).share is None
