"""The checks between scoring and publishing: pure functions from what was measured to what is expected.

`spark_jobs.quality.lists` measures a night's lists in Spark; here nothing imports Spark, so that every check can be
read, and tested to fail, on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from contracts.columns import Columns as C
from contracts.fallback import FALLBACK_USER
from contracts.settings import Audit
from contracts.states import CRITICAL, WARNING, is_critical_failure
from spark_jobs.quality.results import Result

SUITE = "recommendations"
"""Name of the audit's suite in `quality_results`."""

COVERS_USERS, KEEPS_USERS = "users with events have a list", "as many users as in the last night have a list"
"""The checks of how many users are covered: at all, and against the last published night."""


@dataclass(frozen=True)
class Lists:
    """What the lists themselves show; every count is a number of lists."""

    users: int
    duplicate_users: int
    fallbacks: int  # rows with items for whoever has none: the only one that is no user's, and counted nowhere else
    other_nights: int  # rows that carry another ds than the night's
    models: tuple[str, ...]
    content_hash: str


@dataclass(frozen=True)
class Faults:
    """Lists that break a rule, by rule, and what is known of their users."""

    users_with_events: int
    users_covered: int  # users with events that have a list
    short_lists: int
    long_lists: int
    wrong_ranks: int
    repeated_items: int
    bad_scores: int
    unordered_scores: int
    excluded_items: int  # lists with an item that the user's own history excludes
    untrue_reasons: int  # lists that call an item a repeat, or name a reason, that is not in the history
    over_category_cap: int
    compared_users: int  # users with a list in this night and in the last published one
    churn: float  # mean share of a list that is not in the last one; NaN without a last one


@dataclass(frozen=True)
class Wrong:
    """Items that must not be shown: how many, and one of them."""

    items: int
    example: str | None = None


@dataclass(frozen=True)
class Shown:
    """What the lists show, item by item."""

    distinct: int
    catalogue: int  # available items
    unknown: Wrong
    unavailable: Wrong
    blocked: Wrong
    top_item: str | None
    top_item_users: int
    rows: int
    by_source: dict[str, int]  # rows from each source
    other_sources: int  # rows from no known source


@dataclass(frozen=True)
class Validated:
    """What the validation of the night's data left behind."""

    rows: int
    critical_failures: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """All that the audit looks at."""

    lists: Lists
    faults: Faults
    shown: Shown
    validated: Validated
    last_night: date | None  # the last published night before this one
    before: Mapping[str, float] = field(default_factory=dict)  # what was measured of it


def checks(measured: Measured, bounds: Audit, n: int, max_per_category: int | None) -> list[Result]:
    """One result a check; the critical ones that fail hold the night."""
    lists, faults, shown, validation = measured.lists, measured.faults, measured.shown, measured.validated
    results = [
        _check("there are lists", lists.users > 0, "1 or more users", f"{lists.users:,} users"),
        _check(
            COVERS_USERS,
            faults.users_covered >= bounds.min_users_covered * faults.users_with_events,
            f"a share of {bounds.min_users_covered:g} or more ([audit] min_users_covered)",
            f"{faults.users_covered:,} of {faults.users_with_events:,} users",
        ),
        _none("a user has one list", lists.duplicate_users, "user"),
        _check(
            "there is a list for who has none",
            lists.fallbacks == 1,
            f"1 row with items of user {FALLBACK_USER}",
            f"{lists.fallbacks:,} rows",
        ),
        _none("lists are of this night", lists.other_nights),
        _check("one model made the lists", len(lists.models) == 1, "1 model", ", ".join(lists.models) or "none"),
        _check(
            f"a list has {n} items",
            not faults.short_lists > bounds.max_short_lists * lists.users,
            f"a share of {bounds.max_short_lists:g} or less has fewer ([audit] max_short_lists)",
            f"{faults.short_lists:,} of {lists.users:,} lists have fewer",
        ),
        _none(f"a list has no more than {n} items", faults.long_lists),
        _none(f"ranks are 1 to {n} in order", faults.wrong_ranks),
        _none("a list holds an item once", faults.repeated_items),
        _none("scores are finite", faults.bad_scores),
        _none("scores do not rise along a list", faults.unordered_scores),
        _no_items("items are in the catalogue", shown.unknown),
        _no_items("items are available", shown.unavailable),
        _no_items("items and categories are not blocked", shown.blocked),
        _none("items are not excluded by what the user did", faults.excluded_items),
        _none("sources are known", shown.other_sources, "row"),
        _none("repeats and reasons are in the user's history", faults.untrue_reasons),
        _taste(
            "the commonest item does not reach too many users",
            share(shown.top_item_users, lists.users),
            bounds,
            "max_top_item_share",
            f"of users get item {shown.top_item}",
        ),
        _check(
            "the night's data was validated",
            validation.rows > 0 and not validation.critical_failures,
            "expectations checked, no critical failure",
            "; ".join(validation.critical_failures) or f"{validation.rows} checked, no critical failure",
        ),
    ]
    if max_per_category is not None:
        results.append(_none(f"a list has at most {max_per_category} items of a category", faults.over_category_cap))
    if measured.before:
        drop, bound = coverage_drop(measured), bounds.max_coverage_drop
        expected = f"a drop of {bound:g} or less ([audit] max_coverage_drop)"
        results.append(
            # not "<=": NaN, of a last night that was measured by an earlier version, is no drop
            _check(KEEPS_USERS, not drop > bound, expected, f"a drop of {drop:.3f}: {_kept(measured)}", WARNING)
        )
    if measured.last_night and faults.compared_users:
        what = f"of a list is new since {measured.last_night}, mean over {faults.compared_users:,} users"
        results += [
            _taste("lists change little enough", faults.churn, bounds, "max_churn", what),
            _check("lists change at all", faults.churn > 0, "more than 0", f"{faults.churn:.3f} {what}", WARNING),
        ]
    return results


def coverage_drop(measured: Measured) -> float:
    """How much was lost since the last published night: a share between 0 and 1, NaN where that was not measured.

    The larger one of the users that lost their list, and of what the share of users with events that have one fell by.
    """
    faults, before, nan = measured.faults, measured.before, float("nan")
    lost = 1 - faults.compared_users / before["users"] if before.get("users") else nan
    fell = before.get("coverage", nan) - share(faults.users_covered, faults.users_with_events)
    return max((drop for drop in (lost, fell) if drop == drop), default=nan)


def _kept(measured: Measured) -> str:
    faults, before = measured.faults, measured.before
    covered, then = share(faults.users_covered, faults.users_with_events), before.get("coverage", float("nan"))
    return (
        f"{faults.compared_users:,} of the {before.get('users', 0):,.0f} users of {measured.last_night} still have a "
        f"list, and {covered:.3f} of the users with events (then {then:.3f})"
    )


def reasons(results: Iterable[Result]) -> list[str]:
    """Why the night is held: one sentence for each critical failure."""
    return [
        f"{result.expectation}: {result.observed} (expected: {result.expected})"
        for result in results
        if result.severity == CRITICAL and not result.success
    ]


def measures(measured: Measured) -> dict[str, float]:
    """The figures that go into the night's `publications` row; what could not be measured is left out."""
    faults, shown = measured.faults, measured.shown
    values = {
        "users": float(measured.lists.users),
        "users_with_events": float(faults.users_with_events),
        "coverage": share(faults.users_covered, faults.users_with_events),
        "churn": faults.churn,
        "compared_users": float(faults.compared_users),
        "distinct_items": float(shown.distinct),
        "catalogue_share": share(shown.distinct, shown.catalogue),
        "top_item_share": share(shown.top_item_users, measured.lists.users),
    }
    values |= {f"source_{name}": share(rows, shown.rows) for name, rows in shown.by_source.items()}
    return {name: value for name, value in values.items() if value == value}


def share(part: int, whole: int) -> float:
    """``part / whole``; NaN of nothing."""
    return part / whole if whole else float("nan")


def validated(rows: Iterable[Mapping[str, Any]], run_id: str) -> Validated:
    """Sums up `quality_results` rows of a night: those of this run where it has any, else those of all its runs.

    The audit's own earlier results do not count: a night that was held can pass when it runs again.
    """
    others = [row for row in rows if row[C.SUITE] != SUITE]
    chosen = [row for row in others if row[C.RUN_ID] == run_id] or others
    failed = [f"{row[C.SUITE]}: {row[C.EXPECTATION]}" for row in chosen if is_critical_failure(row)]
    return Validated(len(chosen), tuple(sorted(failed)))


def _check(expectation: str, met: bool, expected: str, observed: str, severity: str = CRITICAL) -> Result:  # noqa: FBT001
    return Result(expectation, severity, met, expected, observed)


def _none(expectation: str, count: int, what: str = "list", example: str | None = None) -> Result:
    """A rule that every ``what`` keeps; ``count`` of them break it."""
    breakers = f"broken by {count:,} {what}{'' if count == 1 else 's'}"
    for_example = "" if example is None else f", for example {example}"
    return _check(expectation, count == 0, f"every {what}", f"{breakers}{for_example}" if count else f"every {what}")


def _no_items(expectation: str, wrong: Wrong) -> Result:
    return _none(expectation, wrong.items, "item", wrong.example)


def _taste(expectation: str, value: float, bounds: Audit, setting: str, what: str) -> Result:
    """An upper bound on what is no fault: such lists can be right, for example of a shop with new items only."""
    bound = getattr(bounds, setting)
    # not "<=": NaN, of no lists at all, is another check's business
    met, expected = not value > bound, f"{bound:g} or less ([audit] {setting})"
    return _check(expectation, met, expected, f"{value:.3f} {what}", bounds.taste)
