"""What each step of a night took and did: kept by the program that ran it, shown on the night's page."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import cli, lake
from contracts.cli import AsOf, Days, Night
from contracts.settings import Costs, Settings
from contracts.tables import NIGHT_STEPS
from spark_jobs.reporting.costs import costs
from tests.factories import NIGHT
from tests.lakes import ArrowLake

NOON = datetime(2017, 12, 24, 12, tzinfo=UTC)


def steps(settings: Settings) -> dict[str, Any]:
    return {row["step"]: row for row in lake.rows(settings, NIGHT_STEPS)}


@pytest.fixture
def program(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The program `score_users` of a home of its own."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/score_users.py"])
    monkeypatch.setattr(cli, "load_settings", lambda: settings)
    return settings


def test_a_step_that_ends_well_leaves_its_time_and_counts_once(program: Settings) -> None:
    for users in (7, 9):
        cli.main("", Night, lambda *_, users=users: {"users scored": users}, ["--ds", str(NIGHT)])
    [row] = lake.rows(program, NIGHT_STEPS)
    assert (row["ds"], row["step"], row["counts"]) == (NIGHT, "score_users", {"users scored": 9})
    assert 0 < row["seconds"] < 3600
    assert abs(row["ended_at"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_run_of_many_days_is_that_of_its_night(program: Settings) -> None:
    cli.main("", Days, lambda *_: {"records": 3}, ["--start", "2017-12-01", "--end", str(NIGHT + timedelta(days=1))])
    assert steps(program)["score_users"]["ds"] == NIGHT


@pytest.mark.parametrize(
    ("kind", "argv", "given"),
    [(Night, ["--ds", str(NIGHT)], None), (AsOf, ["--as-of", str(NIGHT)], {"users": 3})],
)
def test_what_is_no_step_of_a_night_leaves_nothing(
    program: Settings, kind: type[Any], argv: list[str], given: object
) -> None:
    cli.main("", kind, lambda *_: given, argv)
    assert not lake.exists(program, NIGHT_STEPS)


def test_a_table_that_cannot_be_written_is_logged_and_no_failure(
    program: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    program.lake.parent.mkdir(parents=True, exist_ok=True)
    program.lake.write_text("a file where the lake should be")
    cli.main("", Night, lambda *_: {"users scored": 1}, ["--ds", str(NIGHT)])
    assert "What score_users took could not be written" in capsys.readouterr().err


def test_the_time_of_a_job_is_counted_from_the_start_of_the_java_that_started_it(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.symlink_to(sys.executable)
    asked = "from contracts.night_steps import seconds_since_start as s; print(s())"
    waits = f"import subprocess, sys, time; time.sleep(2); subprocess.run([{sys.executable!r}, '-c', {asked!r}])"
    told = [
        float(subprocess.run([program, "-c", waits], capture_output=True, text=True, check=True).stdout)
        for program in (str(java), sys.executable)
    ]
    assert told[0] - told[1] > 1


def row(ds: date, step: str, seconds: float, minute: int, **counts: int) -> dict[str, Any]:
    named = {name.replace("_", " "): number for name, number in counts.items()}
    ended = NOON + timedelta(minutes=minute)
    return {"ds": ds, "step": step, "seconds": seconds, "counts": list(named.items()), "ended_at": ended}


def test_the_page_shows_the_steps_in_their_order_and_what_a_thousand_users_cost(arrow_lake: ArrowLake) -> None:
    arrow_lake.write(NIGHT_STEPS, [
        row(NIGHT, "score_users", 90, 2, users_scored=1500, users_carried=500),
        row(NIGHT, "clean_events", 30, 1, records=12_345),
        row(NIGHT - timedelta(days=1), "clean_events", 20, 0, records=1),
    ])  # fmt: skip
    found = costs(arrow_lake.settings, NIGHT)
    assert found
    assert found.rows == [
        ("clean_events", "30 s", "25.0%", "12,345 records"),
        ("score_users", "90 s", "75.0%", "1,500 users scored, 500 users carried"),
    ]
    assert (found.total, found.per_thousand) == ("120 s", None)
    assert "22 Dec" in found.trend
    priced = arrow_lake.settings.model_copy(update={"costs": Costs(price_per_hour=3)})
    told = costs(priced, NIGHT)
    assert told
    assert told.per_thousand == "0.0500"  # 120 s of 3 an hour for 2,000 users
    assert costs(priced, NIGHT - timedelta(days=9)) is None
    alone = costs(priced, NIGHT - timedelta(days=1))
    assert alone
    assert (alone.per_thousand, alone.trend) == (None, "")


def test_the_page_says_what_approximate_search_missed(arrow_lake: ArrowLake) -> None:
    counts = {"users_searched_both_ways": 498, "matches_of_exact_search": 2_000, "of_these_found": 1_950}
    arrow_lake.write(NIGHT_STEPS, [
        row(NIGHT, "score_users", 90, 2, users_scored=1500, **counts),
        row(NIGHT - timedelta(days=1), "score_users", 80, 1, users_scored=1500),
    ])  # fmt: skip
    found, before = costs(arrow_lake.settings, NIGHT), costs(arrow_lake.settings, NIGHT - timedelta(days=1))
    assert found
    assert found.recall == "97.5% of what exact search finds, of 498 users searched both ways"
    assert before
    assert before.recall is None
