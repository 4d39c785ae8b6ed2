"""Measures of drift: what moves them, what does not, and when nothing can be said."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.settings import Drift
from models.known_ids import KnownIds, Newcomers
from models.profile import Bins, Profile
from spark_jobs.quality.drift import (
    MEASURES,
    Measure,
    Week,
    attribute_change,
    behaviour_change,
    measures,
    newcomers,
    psi,
    volume_factor,
)
from spark_jobs.quality.drift_text import in_words

NIGHT = date(2017, 12, 23)  # a Saturday
SMALL = Drift(min_events=10)
BRANDS = Bins(("ours", None), (6, 2, 2))
PROFILE = Profile(
    NIGHT - timedelta(days=35),
    NIGHT - timedelta(days=7),
    40,
    {"view": 30, "purchase": 10},
    dict.fromkeys(("department", "category", "product_type", "brand"), BRANDS),
    (20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 40.0),
    0.1,
    0.25,
    KnownIds.of(["i1", "i2"]),
    KnownIds.of(["u1"]),
)
WEEK = Week(
    NIGHT,
    {NIGHT - timedelta(days=n): 2 for n in range(7)},
    {"view": 10, "purchase": 4},
    {name: {"ours": 8, None: 3, "a": 1, "b": 2} for name in PROFILE.attributes},
    Newcomers(2, 14),
    Newcomers(7, 14),
)

counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=25)


@given(counts, st.integers(1, 50))
def test_the_index_of_equal_shares_is_0(before: list[int], times: int) -> None:
    assert psi(before, [each * times for each in before]) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=25))
def test_the_index_is_never_negative_nor_infinite_and_the_same_both_ways(pairs: list[tuple[int, int]]) -> None:
    before, now = ([pair[side] for pair in pairs] for side in (0, 1))
    value = psi(before, now)
    assert 0 <= value < math.inf
    assert value == pytest.approx(psi(now, before))


def test_the_index_is_the_one_of_the_books() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert psi([50, 50], [60, 40]) == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))
    # a bin that was empty counts as a ten-thousandth
    assert psi([100, 0], [50, 50]) == pytest.approx(0.5 * math.log(2) + 0.4999 * math.log(5000))


def test_a_behaviour_that_came_or_went_counts_and_of_equal_changes_the_first_by_name() -> None:
    assert behaviour_change({"a": 5, "b": 5}, {"a": 10}, 0.1) == Measure("behaviours", 0.5, 0.1, "a", 1.0, 0.5)
    change = behaviour_change({"view": 6, "cart": 4}, {"view": 9, "cart": 1}, 0.3)
    assert change.name == "cart"
    assert change.value == pytest.approx(0.3)


def test_missing_and_rare_values_are_bins_of_their_own() -> None:
    same = attribute_change("brand", BRANDS, {"ours": 60, None: 20, "x": 11, "y": 9}, 0.25)
    assert same.value == pytest.approx(0)
    gone = attribute_change("brand", BRANDS, {"ours": 6, "x": 4}, 0.25)
    assert (gone.name, gone.before, gone.now, gone.drifted) == ("no value", 0.2, 0.0, True)
    rare = attribute_change("brand", BRANDS, {None: 2, "x": 8}, 0.25)
    assert (rare.name, rare.now) == ("ours", 0.0)
    none = attribute_change("brand", Bins((None,), (9, 0)), {None: 5}, 0.25)
    assert (none.value, none.drifted, none.note) == (None, False, "no item of the events has one")


def test_newcomers_are_compared_with_the_trainings_own() -> None:
    assert newcomers("new_users", 0.25, 0.5, 0.15).drifted
    assert not newcomers("new_users", 0.5, 0.6, 0.15).drifted
    assert newcomers("new_users", None, 0.9, 0.15).value is None


@pytest.mark.parametrize(
    ("now", "value", "drifted"), [(30, 3.0, True), (5, 2.0, False), (4, 2.5, True), (10, 1, False)]
)
def test_a_volume_drifts_both_ways(now: float, value: float, drifted: bool) -> None:  # noqa: FBT001
    measure = volume_factor("volume", 10, now, 2.0)
    assert (measure.value, measure.drifted) == (value, drifted)


def test_a_volume_of_few_days_or_events_is_noise() -> None:
    many, few = (replace(PROFILE, weekdays=(events,) * 7) for events in (100.0, 10.0))
    days = [NIGHT - timedelta(days=n) for n in range(7)]
    for week, profile in ((dict.fromkeys(days[:3], 300), many), (dict.fromkeys(days, 300), few)):
        found = {each.measure: each for each in measures(replace(WEEK, days=week), profile, SMALL)}
        assert found["volume"].value is None
        assert "are fewer than 4 and 100" in (found["volume"].note or "")
    # it is what was usual that has to be enough: few events are a drift, not noise
    found = {each.measure: each for each in measures(replace(WEEK, days=dict.fromkeys(days, 2)), many, SMALL)}
    assert (found["volume"].value, found["volume"].drifted) == (50, True)


def test_the_week_as_a_whole() -> None:
    found = {each.measure: each for each in measures(WEEK, PROFILE, SMALL)}
    assert tuple(found) == MEASURES
    assert found["behaviours"].value == pytest.approx(abs(10 / 14 - 30 / 40))
    assert found["new_items"].value == pytest.approx(2 / 14 - 0.1)
    assert found["new_users"] == Measure("new_users", 0.25, 0.15, None, 0.25, 0.5)
    assert (found["volume"].before, found["volume"].now) == (160, 14)
    assert found["volume_of_night"] == Measure("volume_of_night", 10.0, None, "Saturday", 20.0, 2)
    assert in_words(found["new_users"]) == "events of new users 25.0 points (25.0% → 50.0%, bound 15.0 points)"


def test_a_closed_day_is_no_fall_of_the_volume() -> None:
    closed = replace(WEEK, days={day: 2 for day in WEEK.days if day != NIGHT})
    found = {each.measure: each for each in measures(closed, PROFILE, SMALL)}
    assert (found["volume"].before, found["volume"].now) == (140, 12)
    assert found["volume_of_night"].value is None


@pytest.mark.parametrize(
    ("week", "profile", "says"),
    [
        (WEEK, replace(PROFILE, events=9), "the training has 9 events"),
        (replace(WEEK, days={NIGHT: 9}), PROFILE, "the week up to 2017-12-23 has 9 events"),
        (WEEK, None, "before trainings left a profile"),
    ],
)
def test_too_little_is_not_measured_rather_than_0(week: Week, profile: Profile | None, says: str) -> None:
    found = [each for each in measures(week, profile, SMALL) if not each.measure.startswith("volume")]
    assert len(found) == 7
    assert all(each.value is None and each.bound is not None and says in (each.note or "") for each in found)
    assert "not measured: " in in_words(found[0])
