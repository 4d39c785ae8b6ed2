"""Examples name no user, and say only what the tables bear out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from spark_jobs import examples
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.tables import EVENTS, ITEMS, RECOMMENDATIONS

NIGHT = date(2017, 12, 23)


def event(user: str, item: str, day: int, behaviour: str = "purchase") -> dict[str, Any]:
    when = datetime(2017, 12, day, 12, tzinfo=UTC)
    return {"user_id": user, "item_id": item, "behaviour": behaviour, "event_time": when, "ds": when.date()}


def ranked(rank: int, item: str, source: str, because: str | None = None) -> dict[str, Any]:
    return {"rank": rank, "item_id": item, "score": 1.0, "source": source, "because": because}


@pytest.fixture
def shop(arrow_lake: Any) -> Any:
    arrow_lake.write(ITEMS, [
        {"item_id": "1", "title": "Milk", "brand": "Farm", "size": "1 L"},
        {"item_id": "2", "title": None, "category": "TEA"},
        {"item_id": "3"},
    ])  # fmt: skip
    arrow_lake.write(EVENTS, [
        event("ann", "1", 1), event("ann", "1", 20), event("ann", "2", 23), event("ann", "3", 22, "view"),
        event("ann", "2", 24), event("bob", "1", 3),
    ])  # fmt: skip
    items = [ranked(1, "1", "repeat", "1"), ranked(2, "3", "together", "2"), ranked(3, "2", "match", "1"),
             ranked(4, "9", "popular")]  # fmt: skip
    arrow_lake.write(RECOMMENDATIONS, [
        {"ds": NIGHT, "user_id": user, "items": items, "model_id": "m", "run_id": "r"}
        for user in ("bob", "ann", "cleo")
    ])  # fmt: skip
    return arrow_lake


def test_history_and_reasons_are_as_of_the_night(shop: Any) -> None:
    ann, bob, cleo = examples.examples(shop.settings, NIGHT)
    assert (ann.events, bob.events, cleo.events) == (4, 1, 0)
    assert ann.history == (
        examples.Did("TEA", 1, date(2017, 12, 23)),
        examples.Did("Milk, Farm, 1 L", 2, date(2017, 12, 20)),
    )
    assert [(row.text, row.why) for row in ann.recommendations] == [
        ("Milk, Farm, 1 L", "had it 2 ×, last 4 days ago"),
        ("item 3", "goes with TEA, had yesterday"),
        ("TEA", "close to Milk, Farm, 1 L"),
        ("item 9", "popular with everyone now"),
    ]
    assert bob.recommendations[0].why == "had it once, 21 days ago"
    assert cleo.recommendations[0].why == "looked at before"


def test_users_have_a_pseudonym_that_stays(shop: Any) -> None:
    found = examples.examples(shop.settings, NIGHT)
    shown = examples.text(found)
    for user in ("ann", "bob", "cleo"):
        assert f"user {user}" not in shown
    assert examples.examples(shop.settings, NIGHT) == found
    assert len({example.user for example in found}) == 3
    assert examples.pseudonym("ann", b"key") != examples.pseudonym("ann", b"other key")
    key = shop.settings.home / "secrets" / "pseudonym.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_users_are_spread_from_much_to_little_history() -> None:
    assert examples.spread(list("abcdefghi"), 3) == ["b", "e", "h"]
    assert examples.spread(["a", "b"], 3) == ["a", "b"]
    assert examples.spread([], 3) == []


def test_a_night_that_was_not_published_is_named(shop: Any) -> None:
    with pytest.raises(InputError, match="no lists of 2017-12-22"):
        examples.examples(shop.settings, date(2017, 12, 22))
