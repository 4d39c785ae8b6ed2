"""What the night reads of everyone's events: histories that are cut, and exclusions that are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from contracts.settings import Scoring
from contracts.tables import EVENTS
from spark_jobs.quality import lists
from spark_jobs.scoring.histories import histories
from tests.factories import event, noon
from tests.lakes import SparkLake

END = date(2017, 12, 24)


def ago(days: float) -> datetime:
    """A moment before the night's end."""
    return datetime(END.year, END.month, END.day, tzinfo=UTC) - timedelta(days=days)


ROWS = [
    event("ann", "milk", ago(400)), event("ann", "jam", ago(300)), event("ann", "jam", ago(300.5)),
    event("ann", "ham", ago(200), "view"), event("ann", "tea", ago(2)), event("ann", "ham", ago(1)),
    event("ann", "soap", ago(0)),  # after the night
    event("ann", "soap", ago(1), ds=END),  # a log of the next day brings it
    event("bob", "milk", ago(365)), event("bob", "tea", ago(365.01)), event("bob", "ham", ago(1), "view"),
    event("cleo", "jam", ago(3), "view"),
]  # fmt: skip


def by_user(tables: SparkLake, rules: dict[str, int], rows: list[dict[str, Any]] = ROWS) -> dict[str, tuple[Any, Any]]:
    """Of each user the items of the history of two events, and those excluded."""
    made = histories(tables.frame(EVENTS, rows), END, 2, rules)
    return {row.user_id: (row.item_ids, row.excluded) for row in made.collect()}


def test_exclusions_see_what_a_long_history_has_lost(tables: SparkLake) -> None:
    everything = by_user(tables, {"purchase": 3650})
    assert everything == {
        "ann": (["tea", "ham"], ["ham", "jam", "milk", "tea"]),
        "bob": (["milk", "ham"], ["milk", "tea"]),
        "cleo": (["jam"], []),
    }
    assert by_user(tables, {"purchase": 3650}, ROWS[::-1]) == everything
    year = by_user(tables, {"purchase": 365, "view": 3})
    assert {user: excluded for user, (_, excluded) in year.items()} == {
        "ann": ["ham", "jam", "tea"], "bob": ["ham", "milk"], "cleo": ["jam"],
    }  # fmt: skip


def test_the_audit_excludes_the_same(tables: SparkLake) -> None:
    rules = {"purchase": 365, "view": 3}
    past = lists.histories(tables.frame(EVENTS, ROWS), END, Scoring(exclude_seen_days=rules))
    audited = {row.user_id: row.excluded for row in past.collect()}
    assert audited == {user: excluded for user, (_, excluded) in by_user(tables, rules).items()}


def test_without_a_rule_nothing_is_excluded_and_histories_are_the_same(tables: SparkLake) -> None:
    assert by_user(tables, {}) == {
        user: (items, []) for user, (items, _) in by_user(tables, {"purchase": 3650}).items()
    }  # fmt: skip
    assert by_user(tables, {}, [event("dan", "tea", noon(END - timedelta(days=1)))]) == {"dan": (["tea"], [])}
