"""`nightshift show`: a user's list and newest events, as the night knew them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from contracts.tables import EVENTS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from tests.commands import answer, command, told
from tests.factories import NIGHT, event, item, noon, publication, ranked, recommended
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
        [recommended("ann", items), recommended("cleo", items), recommended("ann", items[:1], ds=BEFORE)],
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
    ("arguments", "line"),
    [
        (("nobody",), "User 'nobody' has no list of the night 2017-12-23: the user is in no event."),
        (
            ("new",),
            "User 'new' has no list of the night 2017-12-23: the user has 1 events, but none that the night knew.",
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
