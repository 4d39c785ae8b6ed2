"""Every check of the audit passes on a good night and fails for its own reason only."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from contracts.settings import Audit, names
from spark_jobs.quality import audit

NAN = float("nan")
GOOD = audit.Measured(
    audit.Lists(users=10, duplicate_users=0, fallbacks=1, other_nights=0, models=("m1",), content_hash="c0ffee"),
    audit.Faults(
        users_with_events=9, users_covered=9, short_lists=0, long_lists=0, wrong_ranks=0, repeated_items=0,
        bad_scores=0, unordered_scores=0, excluded_items=0, untrue_reasons=0, over_category_cap=0,
        compared_users=8, churn=0.25,
    ),
    audit.Shown(
        distinct=30, catalogue=60, unknown=audit.Wrong(0), unavailable=audit.Wrong(0), blocked=audit.Wrong(0),
        top_item="milk", top_item_users=5, rows=200, by_source={"repeat": 150, "match": 50}, other_sources=0,
    ),
    audit.Validated(rows=12, critical_failures=()),
    last_night=date(2017, 12, 22),
    before={"users": 8},
)  # fmt: skip


def with_(part: str, **changes: Any) -> audit.Measured:
    return replace(GOOD, **{part: replace(getattr(GOOD, part), **changes)})


def failed(measured: audit.Measured, **bounds: float) -> dict[str, str]:
    results = audit.checks(measured, Audit.model_validate(bounds), 20, 2)
    return {result.expectation: result.observed or "" for result in results if not result.success}


def test_a_good_night_passes_every_check_under_a_name_of_its_own() -> None:
    results = audit.checks(GOOD, Audit(), 20, 2)
    assert failed(GOOD) == {}
    assert audit.reasons(results) == []
    assert len({result.expectation for result in results}) == len(results) == 24


@pytest.mark.parametrize(
    ("measured", "expectation", "observed"),
    [
        (with_("faults", users_covered=8), "users with events have a list", "8 of 9 users"),
        (with_("lists", duplicate_users=1), "a user has one list", "broken by 1 user"),
        (with_("lists", fallbacks=0), "there is a list for who has none", "0 rows"),
        (with_("lists", other_nights=3), "lists are of this night", "broken by 3 lists"),
        (with_("lists", models=("m1", "m2")), "one model made the lists", "m1, m2"),
        (with_("faults", short_lists=1), "a list has 20 items", "1 of 10 lists have fewer"),
        (with_("faults", long_lists=1), "a list has no more than 20 items", "broken by 1 list"),
        (with_("faults", wrong_ranks=2), "ranks are 1 to 20 in order", "broken by 2 lists"),
        (with_("faults", repeated_items=1), "a list holds an item once", "broken by 1 list"),
        (with_("faults", bad_scores=1), "scores are finite", "broken by 1 list"),
        (with_("faults", unordered_scores=1), "scores do not rise along a list", "broken by 1 list"),
        (with_("shown", unknown=audit.Wrong(1, "x9")), "items are in the catalogue",
         "broken by 1 item, for example x9"),
        (with_("shown", unavailable=audit.Wrong(2, "x8")), "items are available",
         "broken by 2 items, for example x8"),
        (with_("shown", blocked=audit.Wrong(1, "beer")), "items and categories are not blocked",
         "broken by 1 item, for example beer"),
        (with_("faults", excluded_items=1), "items are not excluded by what the user did", "broken by 1 list"),
        (with_("shown", other_sources=4), "sources are known", "broken by 4 rows"),
        (with_("faults", untrue_reasons=1), "repeats and reasons are in the user's history", "broken by 1 list"),
        (with_("faults", over_category_cap=1), "a list has at most 2 items of a category", "broken by 1 list"),
        (with_("validated", rows=0), "the night's data was validated", "0 checked, no critical failure"),
        (with_("validated", critical_failures=("events: rows",)), "the night's data was validated", "events: rows"),
    ],
)  # fmt: skip
def test_a_critical_check_fails_for_its_own_reason(measured: audit.Measured, expectation: str, observed: str) -> None:
    assert failed(measured) == {expectation: observed}
    (reason,) = audit.reasons(audit.checks(measured, Audit(), 20, 2))
    assert reason.startswith(f"{expectation}: {observed} (expected: ")


@pytest.mark.parametrize(
    ("measured", "expectation", "observed", "setting"),
    [
        (with_("shown", top_item_users=10), "the commonest item does not reach too many users",
         "1.000 of users get item milk", "max_top_item_share"),
        (with_("faults", churn=0.9), "lists change little enough",
         "0.900 of a list is new since 2017-12-22, mean over 8 users", "max_churn"),
    ],
)  # fmt: skip
def test_taste_is_a_warning_unless_the_settings_say_otherwise(
    measured: audit.Measured, expectation: str, observed: str, setting: str
) -> None:
    assert failed(measured) == {expectation: observed}
    assert audit.reasons(audit.checks(measured, Audit(), 20, 2)) == []
    (reason,) = audit.reasons(audit.checks(measured, Audit(taste="critical"), 20, 2))
    assert reason.startswith(f"{expectation}: {observed} (expected: ")
    assert f"([audit] {setting})" in reason


def test_a_bound_is_a_setting_and_named() -> None:
    short = with_("faults", short_lists=2)
    (reason,) = audit.reasons(audit.checks(short, Audit(), 20, 2))
    assert reason.endswith("(expected: a share of 0 or less has fewer ([audit] max_short_lists))")
    assert failed(short, max_short_lists=0.2) == {}
    named = {word for result in audit.checks(short, Audit(), 20, 2)
             for word in re.findall(r"\[audit\] (\w+)", result.expected)}  # fmt: skip
    assert named == {name.removeprefix("audit.") for name in names() if name.startswith("audit.")} - {"taste"}


def test_lists_that_stand_still_are_a_warning_that_holds_nothing() -> None:
    still = with_("faults", churn=0.0)
    assert list(failed(still)) == ["lists change at all"]
    assert audit.reasons(audit.checks(still, Audit(), 20, 2)) == []


@pytest.mark.parametrize(
    ("measured", "drop"),
    [
        (with_("faults", compared_users=7), 1 / 8),  # one of the last night's users has no list any more
        (replace(with_("faults", users_covered=6), before={"users": 8, "coverage": 0.8}), 0.8 - 6 / 9),
        (replace(with_("faults", users_with_events=0, users_covered=0), before={"users": 8, "coverage": 0.8}), 0),
        (replace(GOOD, before={"users": 0}), NAN),  # a night of an earlier version, or without anybody
        (replace(GOOD, before={}), NAN),
    ],
)
def test_a_drop_of_coverage_is_the_larger_of_two_and_a_warning(measured: audit.Measured, drop: float) -> None:
    assert audit.coverage_drop(measured) == pytest.approx(drop, nan_ok=True)
    assert (audit.KEEPS_USERS in failed(measured, min_users_covered=0)) == (drop > 0.02)
    assert audit.KEEPS_USERS not in failed(measured, min_users_covered=0, max_coverage_drop=0.5)


def test_the_first_night_is_compared_with_nothing() -> None:
    first = replace(with_("faults", compared_users=0, churn=NAN), last_night=None, before={})
    assert failed(first) == {}
    assert "churn" not in audit.measures(first)


def test_a_night_without_lists_is_held() -> None:
    empty = replace(
        GOOD,
        lists=replace(GOOD.lists, users=0, models=()),
        faults=replace(GOOD.faults, users_with_events=0, users_covered=0, compared_users=0, churn=NAN),
        shown=replace(GOOD.shown, rows=0, top_item=None, top_item_users=0, by_source={}),
    )
    assert set(failed(empty)) == {"there are lists", "one model made the lists", audit.KEEPS_USERS}


def test_measures_are_shares() -> None:
    values = audit.measures(GOOD)
    assert values["coverage"] == 1.0
    assert values["churn"] == 0.25
    assert values["top_item_share"] == 0.5
    assert values["catalogue_share"] == 0.5
    assert values["source_repeat"] == 0.75


def quality(run_id: str, suite: str, severity: str, *, success: bool) -> dict[str, object]:
    return {"run_id": run_id, "suite": suite, "expectation": "rows", "severity": severity, "success": success}


def test_only_critical_failures_of_this_run_count_and_the_audit_does_not_count_itself() -> None:
    rows = [
        quality("b", "events", "critical", success=True),
        quality("b", "items", "warning", success=False),
        quality("b", "recommendations", "critical", success=False),
        quality("a", "events", "critical", success=False),
    ]
    assert audit.validated(rows, "b") == audit.Validated(2, ())
    assert audit.validated(rows, "a") == audit.Validated(1, ("events: rows",))
    assert audit.validated(rows, "by-hand") == audit.Validated(3, ("events: rows",))
    assert audit.validated([], "b") == audit.Validated(0, ())
