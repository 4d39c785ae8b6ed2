"""`nightshift show`: a user's list and newest events, as the night knew them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from contracts.fallback import FALLBACK_USER
from contracts.tables import EVENTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from tests.commands import answer, command, told
from tests.factories import NIGHT, event, fallback_row, item, noon, publication, ranked, recommended
from tests.lakes import ArrowLake

BEFORE, AFTER = date(2017, 12, 22), date(2017, 12, 24)


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(
        ITEMS,
        [item("1", title="Milk", size="1 L", category="DAIRY"), item("2", title="[red]Tea\x1b[2J"), item("3")],
    )
    arrow_lake.write(
        EVENTS,
        [
            event("ann", "1", noon(date(2017, 12, 1))),
            event("ann", "2", noon(BEFORE), "view"),
            event("ann", "1", noon(BEFORE)),
            event("ann", "3", noon(AFTER)),
            # of the night's day, but a later log brought it
            event("ann", "3", noon(NIGHT), ds=AFTER),
            event("bob", "1", noon(BEFORE)),
            event("new", "1", noon(AFTER)),
        ],
    )
    items = ranked(("1", 2.5, "repeat", "1"), ("2", 1.0, "together", "1"), ("9", 0.5, "popular", None))
    arrow_lake.write(
        RECOMMENDATIONS,
        [
            fallback_row("3", "1"),
            recommended("ann", items),
            recommended("cleo", items),
            recommended("gus", fallback_row("1")["items"]),
            # of a version that had no list to fall back on
            recommended("ann", items[:1], ds=BEFORE),
        ],
    )
    arrow_lake.write(PUBLICATIONS, [publication(BEFORE), publication(NIGHT)])
    return arrow_lake


def test_a_list_with_the_events_that_the_night_knew(shop: ArrowLake) -> None:
    made = answer(shop.settings, "show", "ann")
    assert (made["ds"], made["model_id"], made["events"]) == ("2017-12-23", "m1", 3)
    assert (made["first_event"], made["last_event"]) == ("2017-12-01T12:00:00+00:00", "2017-12-22T12:00:00+00:00")
    assert [(each["item_id"], each["behaviour"], each["title"]) for each in made["newest_events"]] == [
        ("1", "purchase", "Milk, 1 L"),
        ("2", "view", "[red]Tea\x1b[2J"),
        ("1", "purchase", "Milk, 1 L"),
    ]
    assert made["items"][1] == {
        "rank": 2,
        "item_id": "2",
        "title": "[red]Tea\x1b[2J",
        "category": None,
        "score": 1.0,
        "source": "together",
        "because": "1",
        "because_title": "Milk, 1 L",
    }
    assert (made["items"][2]["title"], made["items"][2]["because"]) == ("item 9", None)


def test_what_came_from_logs_is_shown_literally(shop: ArrowLake) -> None:
    shown = told(shop.settings, "show", "ann")
    assert r"[red]Tea\x1b[2J" in shown
    assert "3 events, 2017-12-01 12:00 to 2017-12-22 12:00 UTC:" in shown
    assert "DAIRY" in shown
    assert "1: Milk, 1 L" in shown


def test_another_night_and_a_user_without_events(shop: ArrowLake) -> None:
    assert len(answer(shop.settings, "show", "ann", "--ds", "2017-12-22")["items"]) == 1
    assert answer(shop.settings, "show", "cleo")["last_event"] is None
    assert "No events before the night's end." in told(shop.settings, "show", "cleo")


def test_the_lists_are_those_of_the_run_that_readers_follow(shop: ArrowLake) -> None:
    later = datetime(2017, 12, 30, tzinfo=UTC)
    held = publication(NIGHT, run_id="r2", status="held", model_id="m2", published_at=later)
    shop.write(PUBLICATIONS, [publication(NIGHT), held])
    assert answer(shop.settings, "show", "ann")["run_id"] == "r1"


@pytest.mark.parametrize(
    ("user", "code", "text", "events", "items"),
    [
        (
            "nobody", "no_event",
            "No event of any day names a user 'nobody'. This is the list for everyone who has none of their own.",
            0, ["3", "1"],
        ),
        (
            "new", "no_event_known",
            "The user's 1 event was not known to the night 2017-12-23. This is the list for everyone who has none of "
            "their own.",
            0, ["3", "1"],
        ),
        # without a row of their own, though the night should have known an event
        (
            "bob", "no_row",
            "The night 2017-12-23 gave the user no list: the events that are there now were taken in later, or left "
            "out. This is the list for everyone who has none of their own.",
            1, ["3", "1"],
        ),
        (
            "gus", "no_event_used",
            "No event of user 'gus' said anything to the night's model: items that have left the catalogue, or "
            "behaviours of weight 0. The list is the one for everyone who has none of their own, without what the "
            "rules exclude for the user.",
            0, ["1"],
        ),
    ],
)  # fmt: skip
def test_who_has_no_list_is_shown_the_one_for_who_has_none_and_why(
    shop: ArrowLake, user: str, code: str, text: str, events: int, items: list[str]
) -> None:
    made = answer(shop.settings, "show", user)
    assert made["fallback"] == {"code": code, "text": text}
    assert (made["user_id"], made["events"]) == (user, events)
    assert [(each["item_id"], each["source"]) for each in made["items"]] == [(item, "fallback") for item in items]
    assert text in " ".join(told(shop.settings, "show", user).split())


def test_a_users_own_list_is_no_fallback_nor_is_the_row_itself(shop: ArrowLake) -> None:
    assert answer(shop.settings, "show", "ann")["fallback"] is None
    row = answer(shop.settings, "show", FALLBACK_USER)
    assert row["fallback"] is None
    assert [each["item_id"] for each in row["items"]] == ["3", "1"]


OLD = ("--ds", "2017-12-22")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("nobody", *OLD),
            "User 'nobody' has no list of the night 2017-12-22: the user is in no event. The night has no list to "
            "fall back on either: an earlier version published it.",
        ),
        (
            ("new", *OLD),
            "User 'new' has no list of the night 2017-12-22: the user has 1 events, but none that the night knew. The "
            "night has no list to fall back on either: an earlier version published it.",
        ),
        (("ann", "--ds", "2017-12-24"), "The night 2017-12-24 was not published."),
    ],
)
def test_an_unknown_user_or_night_is_one_line_that_names_the_nights(
    shop: ArrowLake, arguments: tuple[str, ...], line: str
) -> None:
    made = command(shop.settings, "show", *arguments)
    assert made.exit_code == 65
    assert made.stderr == f"nightshift: ERROR: {line} Published nights: 2017-12-23, 2017-12-22.\n"


def test_before_the_first_night_there_is_nothing_to_show(arrow_lake: ArrowLake) -> None:
    made = command(arrow_lake.settings, "show", "ann")
    assert made.exit_code == 65
    assert "Nothing was published yet" in made.stderr
