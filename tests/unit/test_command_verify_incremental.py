"""What `nightshift verify-incremental` tells of a comparison, and how it ends."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.errors import InputError
from contracts.settings import Settings
from nightshift.command.app import app
from nightshift.lookups import incremental
from nightshift.lookups.incremental import Compared

RIGHT = Compared(
    ds=date(2017, 12, 24),
    model_id="m1",
    idle_days=1,
    idle_nights=7,
    scored=500,
    exact=490,
    rounded=10,
    carried=1_500,
    as_published=1_500,
    overlap=0.825,
    alone=0,
    seconds_full=20.0,
    seconds=7.0,
    wrong=(),
)


def test_it_tells_both_kinds_of_lists_and_both_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "compared", lambda *_: RIGHT)
    done = CliRunner().invoke(app, ["verify-incremental"])
    assert done.exit_code == 0, done.output
    assert re.search(r"scored +500 +as in the full night +500", done.output)
    assert re.search(r"carried over +1,500 +as in the night that scored them +1,500", done.output)
    told = " ".join(done.output.split())
    assert "10 of them are the same but for rounding" in told
    assert "82.5% of the items" in told
    assert "7.0 s, in full 20.0 s: 35.0%, for 25.0% of the users" in told
    assert json.loads(CliRunner().invoke(app, ["verify-incremental", "--json"]).output)["carried"] == 1_500


@pytest.mark.parametrize("fault", [{"exact": 480}, {"as_published": 1_499}, {"alone": 1}])
def test_a_list_that_is_not_as_it_must_be_ends_it_with_one(
    monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr(incremental, "compared", lambda *_: replace(RIGHT, wrong=("user 3f9a61c0",), **fault))
    done = CliRunner().invoke(app, ["verify-incremental"])
    assert done.exit_code == 1
    assert "not as they must be" in done.output
    assert "user 3f9a61c0" in done.output


def test_without_a_published_night_it_says_so(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(settings.home))
    done = CliRunner().invoke(app, ["verify-incremental"])
    assert done.exit_code == InputError.exit_code
    assert "Nothing was published yet" in done.output
