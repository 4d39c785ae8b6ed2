"""What jobs leave behind for people: once, whatever the run is called, until somebody sends it."""

from __future__ import annotations

import os
from datetime import date

import pytest

from contracts.notices import Notice, claim, nights, of_night, of_run, tell
from contracts.settings import Settings

NIGHT, BEFORE = date(2017, 12, 24), date(2017, 12, 23)
HOLE = Notice("hole", NIGHT, "2017-12-20 has no log: é.", "Deliver it.")


@pytest.mark.parametrize("run_id", ["r1", "scheduled__2017-12-25T00:00:00+00:00", "../a/b c%2F*[x]", "é" * 250])
def test_the_same_notice_of_a_run_is_one_and_is_sent_once(settings: Settings, run_id: str) -> None:
    tell(settings, run_id, HOLE)
    (told,) = of_run(settings, run_id)
    assert (told.notice, told.run_id, told.is_sent) == (HOLE, run_id, False)
    assert [claim(told), claim(told)] == [True, False]
    tell(settings, run_id, HOLE)
    (again,) = of_run(settings, run_id)
    assert again.is_sent
    assert settings.home / "notices" in again.file.parents


def test_notices_are_found_by_run_and_by_night_oldest_first(settings: Settings) -> None:
    assert (of_run(settings, "r1"), of_night(settings, NIGHT), nights(settings)) == ([], [], [])
    other = Notice("hole", NIGHT, "2017-12-19 has no log.", "Deliver it.")
    for hour, (run_id, notice) in enumerate([("r2", HOLE), ("r1", HOLE), ("r1", other)]):
        os.utime(tell(settings, run_id, notice).file, (hour, hour))
    tell(settings, "r1", Notice("drift", BEFORE, "It drifts.", "Nothing."))
    assert [told.notice.kind for told in of_run(settings, "r1")] == ["hole", "hole", "drift"]
    assert [(told.run_id, told.notice) for told in of_night(settings, NIGHT)] == [
        ("r2", HOLE), ("r1", HOLE), ("r1", other),
    ]  # fmt: skip
    # told again: it is the newest now
    tell(settings, "r2", HOLE)
    assert of_night(settings, NIGHT)[-1].run_id == "r2"
    assert nights(settings) == [BEFORE, NIGHT]
