"""Arguments become a command line, and what is wrong is said in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from contracts.cli import RESULT_FILE, Days, Night, OneModel, argument, give_result, parse, read_result
from contracts.errors import SettingsError
from contracts.settings import load_settings


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """A night with a model, a pair of numbers and a time."""

    between: tuple[int, int] = argument("two numbers", default=(1, 2))
    at: datetime = argument("a time", default_factory=lambda: datetime(2017, 1, 1, tzinfo=UTC))


def test_fields_are_options_with_their_types_and_defaults() -> None:
    assert parse("", Arguments, ["--ds", "2017-12-23"]) == Arguments(ds=date(2017, 12, 23))
    told = ["--ds", "2017-12-23", "--model", "m", "--between", "3", "4", "--at", "2018-01-01T00:00:00+00:00"]
    made = parse("", Arguments, told)
    assert (made.model, made.between, made.at.year, made.run_id) == ("m", (3, 4), 2018, "by-hand")
    assert parse("", Days, ["--start", "2017-12-23", "--end", "2017-12-24", "--allow-empty"]).allow_empty


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: --ds"),
        (["--ds", "yesterday"], "argument --ds: expected a day, YYYY-MM-DD, found 'yesterday'"),
        (["--ds", "2017-12-23", "--start", "2017-12-23"], "unrecognized arguments: --start"),
    ],
)
def test_wrong_arguments_end_with_2_and_a_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("", Arguments, argv)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_setting_is_refused_with_the_one_that_is_likely_meant(tmp_path: Path) -> None:
    (tmp_path / "nightshift.toml").write_text("[training]\ntower_steps = 3\n[scoring]\nn = 0\n")
    with pytest.raises(SettingsError) as error:
        load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    assert "there is no setting training.tower_steps (did you mean training.tower.steps?)" in str(error.value)
    assert "scoring.n: input should be greater than or equal to 1, found 0" in str(error.value)


@pytest.mark.parametrize("deadline", ["06:00Z", "06:00+01:00"])
def test_a_deadline_by_another_clock_than_the_shops_is_refused(tmp_path: Path, deadline: str) -> None:
    (tmp_path / "nightshift.toml").write_text(f'[alerts]\ndeadline = "{deadline}"\n')
    with pytest.raises(SettingsError, match=r"alerts.deadline: .*is a time of the shop's clock, such as \"06:00\""):
        load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})


def test_a_rule_of_an_unknown_behaviour_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nightshift.toml").write_text("[scoring]\nexclude_seen_days = { purchase = 7, buy = 7 }\n")
    with pytest.raises(SettingsError, match=r"scoring: .*exclude_seen_days names buy, expected one of view, cart, "):
        load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})


def test_results_add_up_in_the_file_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "result.json"
    monkeypatch.delenv(RESULT_FILE, raising=False)
    give_result({"model_id": "a"})
    assert read_result(file) == {}
    monkeypatch.setenv(RESULT_FILE, str(file))
    give_result({"model_id": "a", "rows": 3})
    give_result({"model_id": "b"})
    assert read_result(file) == {"model_id": "b", "rows": 3}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        pytest.param(
            "spark_jobs, clean_events, validate, score_users, publish, report, hindsight",
            {"torch", "numba", "transformers"},
            id="drivers of a night: what only executors need",
        ),
        pytest.param(
            "spark_jobs.scoring, worker",
            {"transformers", "peft", "scipy.optimize"},
            id="who scores: what reads texts and what fits",
        ),
    ],
)
def test_processes_of_a_night_do_not_wait_for_what_they_do_not_need(modules: str, heavy: set[str]) -> None:
    package, _, names = modules.partition(", ")
    code = f"import sys; from {package} import {names}; print(sorted({heavy} & {{*sys.modules}}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
