"""`nightshift rejects`: reasons, shares and examples, with no user named."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from contracts.tables import EVENTS_REJECTED, INGEST_COUNTS, ITEMS, ITEMS_REJECTED
from tests.commands import answer, command, told
from tests.factories import FIRST_CATALOGUE, NIGHT, counted, item
from tests.lakes import ArrowLake

BEFORE = date(2017, 12, 22)
FILE = "events/ds=2017-12-23/a.jsonl"


def rejected(number: int, reason: str, ds: date = NIGHT, raw: str | None = None) -> dict[str, Any]:
    record = raw or f'{{"user_id": "household 17", "item_id": "{number}"}}'
    return {"event_id": f"e{number}", "reason": reason, "raw": record, "source_file": FILE, "ds": ds}


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(INGEST_COUNTS, [counted(BEFORE, 99, 1), counted(NIGHT, 45, 5)])
    arrow_lake.write(
        EVENTS_REJECTED,
        [
            rejected(5, "unparseable_record", raw="household 17 \x1b[2J, not JSON"),
            *(rejected(number, "unknown_item") for number in (4, 3, 2, 1)),
            rejected(1, "unknown_item", BEFORE),
        ],
    )
    arrow_lake.write(ITEMS, [item("1"), item("2"), item("3")])
    duplicate = {
        "ds": FIRST_CATALOGUE,
        "item_id": "1",
        "reason": "duplicate_item",
        "raw": '{"item_id": "1"}' + " " * 400,
        "source_file": "i",
    }
    arrow_lake.write(ITEMS_REJECTED, [duplicate])
    return arrow_lake


def test_the_newest_day_by_reason_commonest_first(shop: ArrowLake) -> None:
    made = answer(shop.settings, "rejects")
    assert (made["start"], made["end"], made["raw"], made["rejected"]) == ("2017-12-23", "2017-12-23", 50, 5)
    unknown, broken = made["reasons"]
    assert (unknown["reason"], unknown["records"], unknown["share"]) == ("unknown_item", 4, 0.08)
    assert [json.loads(each["record"])["item_id"] for each in unknown["examples"]] == ["1", "2", "3"]
    assert {each["file"] for each in unknown["examples"]} == {FILE}
    assert broken["examples"][0]["record"].startswith("a record of ")
    (duplicate,) = made["catalogue"]
    assert (duplicate["records"], duplicate["share"]) == (1, 0.25)
    assert len(duplicate["examples"][0]["record"]) == 300


def test_no_user_is_named_unless_ids_are_asked_for(shop: ArrowLake) -> None:
    assert "household 17" not in told(shop.settings, "rejects")
    assert "household 17" not in told(shop.settings, "rejects", "--json")
    with_ids = told(shop.settings, "rejects", "--ids")
    assert r"household 17 \x1b[2J, not JSON" in with_ids
    assert "\x1b" not in with_ids


def test_several_days_stand_side_by_side(shop: ArrowLake) -> None:
    made = answer(shop.settings, "rejects", "--from", "2017-12-01")
    assert (made["start"], made["end"], made["raw"], made["rejected"]) == ("2017-12-22", "2017-12-23", 150, 6)
    assert [(day["ds"], day["by_reason"]) for day in made["days"]] == [
        ("2017-12-22", {"unknown_item": 1}),
        ("2017-12-23", {"unknown_item": 4, "unparseable_record": 1}),
    ]
    assert "day" in told(shop.settings, "rejects", "--from", "2017-12-01")


def test_one_reason(shop: ArrowLake) -> None:
    made = answer(shop.settings, "rejects", "--reason", "unparseable_record")
    assert (made["rejected"], [each["reason"] for each in made["reasons"]]) == (1, ["unparseable_record"])
    assert made["catalogue"] == []
    assert "Nothing was rejected." in told(shop.settings, "rejects", "--reason", "bot_like_rate")
    wrong = command(shop.settings, "rejects", "--reason", "rain")
    assert wrong.exit_code == 2
    assert "there is no reason 'rain'" in wrong.stderr.replace("\n", " ")


def test_a_day_without_a_log_is_one_line_that_names_days(shop: ArrowLake) -> None:
    made = command(shop.settings, "rejects", "--ds", "2017-12-24")
    assert made.exit_code == 65
    line = "No log of 2017-12-24 was taken in. Days with a log: 2017-12-23, 2017-12-22."
    assert made.stderr == f"nightshift: ERROR: {line}\n"


def test_a_home_without_logs(arrow_lake: ArrowLake) -> None:
    made = command(arrow_lake.settings, "rejects")
    assert (made.exit_code, made.stdout) == (65, "")
    assert "No log was taken in yet" in made.stderr
