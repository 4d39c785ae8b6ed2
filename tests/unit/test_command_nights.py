"""`nightshift nights`: newest first, and both truths of a night that was published and then held."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from contracts.tables import INGEST_COUNTS, PUBLICATIONS, QUALITY_RESULTS
from nightshift.command.nights import draw
from nightshift.lookups.nights import nights
from tests.commands import answer, command, told
from tests.factories import counted, publication, result
from tests.lakes import ArrowLake

FIRST, SECOND, THIRD = (date(2017, 12, day) for day in (22, 23, 24))
LATER = datetime(2017, 12, 30, tzinfo=UTC)


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), publication(SECOND, users=1234)])
    arrow_lake.write(INGEST_COUNTS, [counted(FIRST, 9, 1), counted(SECOND, 1999, 1)])
    arrow_lake.write(
        QUALITY_RESULTS,
        [
            result(FIRST),
            result(SECOND, "items", "warning", success=False),
            result(THIRD, success=False, observed="0 \x1b[31m[bold]"),
        ],
    )
    arrow_lake.settings.reports.mkdir()
    (arrow_lake.settings.reports / f"{SECOND}.html").write_text("")
    return arrow_lake


def test_nights_stand_newest_first_with_their_figures(shop: ArrowLake) -> None:
    made = answer(shop.settings, "nights")
    assert made["readers_get"] == str(SECOND)
    third, second, first = made["nights"]
    assert [night["ds"] for night in (third, second, first)] == ["2017-12-24", "2017-12-23", "2017-12-22"]
    assert (third["status"], third["critical_failures"], third["followed"]) == ("failed gate", 1, None)
    assert third["reasons"] == ["events: rows: 0 \x1b[31m[bold] (expected: 1 or more)"]
    figures = ("status", "model_id", "users", "coverage", "churn", "repeats", "warnings", "raw", "clean", "rejected")
    assert [second[name] for name in figures] == ["published", "m1", 1234, 1.0, 0.25, 0.75, 1, 2000, 1999, 1]
    assert second["report"] == str(shop.settings.reports / "2017-12-23.html")
    assert first["report"] is None


def test_a_terminal_is_told_why_and_what_readers_get(shop: ArrowLake) -> None:
    shown = told(shop.settings, "nights")
    assert r"2017-12-24 failed gate: events: rows: 0 \x1b[31m[bold] (expected: 1 or more)" in shown
    assert shown.endswith("Readers get the lists of 2017-12-23.\n")
    assert "\x1b" not in shown
    assert len(answer(shop.settings, "nights", "--last", "1")["nights"]) == 1


@pytest.mark.parametrize("outcome", ["held", "failed gate"])
def test_a_night_that_failed_after_it_was_published_shows_both(shop: ArrowLake, outcome: str) -> None:
    held = publication(SECOND, run_id="r2", status="held", reasons=["churn is 0.9"], model_id="m2", published_at=LATER)
    if outcome == "held":
        shop.write(PUBLICATIONS, [publication(SECOND), held])
        shop.write(QUALITY_RESULTS, [])
    else:
        shop.write(QUALITY_RESULTS, [result(SECOND, success=False)])
    (second, *_) = answer(shop.settings, "nights")["nights"]
    assert second["status"] == outcome
    assert second["followed"]["run_id"] == "r1"
    assert second["followed"]["published_at"] == "2017-12-24T04:00:00+00:00"
    shown = told(shop.settings, "nights")
    assert f"{outcome}, readers follow r1" in shown
    assert "2017-12-23 was published before: its readers follow run r1" in shown


def test_in_a_narrow_window_a_night_takes_two_rows_and_nothing_is_cut(shop: ArrowLake) -> None:
    console = Console(markup=False, width=80, force_terminal=True, color_system=None)
    with console.capture() as captured:
        draw(console, nights(shop.settings, 10))
    rows = [line for line in captured.get().splitlines() if line.startswith("2017-12-23  ")]
    assert [row.split()[1] for row in rows] == ["published", "2,000"]
    assert rows[1].rstrip().endswith("m1     2017-12-23.html")


def test_a_night_that_was_held_and_then_published_is_published(shop: ArrowLake) -> None:
    shop.write(QUALITY_RESULTS, [])
    shop.write(PUBLICATIONS, [publication(SECOND, status="held"), publication(SECOND, published_at=LATER)])
    (second,) = answer(shop.settings, "nights")["nights"]
    assert (second["status"], second["reasons"]) == ("published", [])


def test_a_night_that_only_took_in_logs_is_not_published(arrow_lake: ArrowLake) -> None:
    arrow_lake.write(QUALITY_RESULTS, [result(FIRST)])
    made = answer(arrow_lake.settings, "nights")
    assert (made["readers_get"], made["nights"][0]["status"]) == (None, "not published")


def test_without_a_night_there_is_one_clear_line(arrow_lake: ArrowLake) -> None:
    made = command(arrow_lake.settings, "nights")
    assert made.exit_code == 65
    assert made.stderr.startswith("nightshift: ERROR: No night has run yet")
