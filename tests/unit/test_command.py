"""The command as a whole: help, errors, and what a terminal is not told to do."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from contracts import lake
from contracts.settings import PROJECT, Settings
from contracts.tables import PUBLICATIONS
from nightshift.command.terminal import line, plain, printable, table
from tests.commands import command, told
from tests.factories import publication
from tests.lakes import ArrowLake

COMMANDS = ("nights", "show", "diff", "rejects", "why", "doctor")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_called(settings: Settings, name: str) -> None:
    shown = told(settings, name, "--help")
    assert f"nightshift {name}" in shown.partition("Examples:")[2]
    assert "--json" in shown
    assert name in told(settings, "--help")


def test_the_help_imports_nothing_heavy() -> None:
    heavy = "pyarrow,deltalake,pandas,numpy,torch,pyspark,mlflow,contracts.settings"
    program = (
        f"import sys, nightshift.command.app; print([name for name in '{heavy}'.split(',') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_runs_as_the_command_does() -> None:
    program = [sys.executable, "-m", "nightshift", "nights", "--last", "none"]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: nightshift nights" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "ann", "--ds", "yesterday"),
        ("show",),
        ("diff", "2017-12-23", "2017-12-32"),
        ("nights", "--last", "0"),
        ("rejects", "--ds", "2017-12-23", "--from", "2017-12-22"),
        ("rejects", "--to", "2017-12-22"),
        ("rejects", "--from", "2017-12-23", "--to", "2017-12-22"),
        ("no-such-command",),
    ],
)
def test_wrong_arguments_end_with_2(settings: Settings, arguments: tuple[str, ...]) -> None:
    assert command(settings, *arguments).exit_code == 2


def test_wrong_settings_are_one_line(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "nightshift.toml").write_text("[scoring]\nn = 0\n")
    result = command(settings, "nights")
    assert result.exit_code == 64
    assert result.stderr.startswith("nightshift: ERROR: Wrong settings")
    assert result.stderr.count("\n") == 1


def test_a_damaged_table_is_one_line(arrow_lake: ArrowLake) -> None:
    arrow_lake.write(PUBLICATIONS, [publication(date(2017, 12, 23))])
    for file in lake.path(arrow_lake.settings, PUBLICATIONS).glob("*.parquet"):
        file.write_bytes(b"not Parquet")
    result = command(arrow_lake.settings, "nights")
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.startswith("nightshift: ERROR: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Crème [bold] 1 L", "Crème [bold] 1 L"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\ud800", r"\ud800"),
        (None, "None"),
    ],
)
def test_no_value_can_order_the_terminal_about(value: object, shown: str) -> None:
    assert printable(value) == shown


def test_values_are_shown_literally_and_a_pipe_is_plain_and_never_cut() -> None:
    console = Console(markup=False, emoji=False, highlight=False, record=True, width=10_000, force_terminal=False)
    with console.capture() as captured:
        console.print(table(["item"], [["[red]Tea[/red] :tea: " + "x" * 300]]))
        line(console, "[bold]\x1b", "bold")
    assert captured.get().splitlines()[1:] == ["[red]Tea[/red] :tea: " + "x" * 300, r"[bold]\x1b"]


def test_json_has_days_as_text_and_null_for_what_is_no_number() -> None:
    told = {"day": date(2017, 12, 23), "at": datetime(2017, 12, 24, tzinfo=UTC), "none": float("nan"), "of": (1,)}
    assert plain(told) == {"day": "2017-12-23", "at": "2017-12-24T00:00:00+00:00", "none": None, "of": [1]}
