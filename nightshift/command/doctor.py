"""`nightshift doctor`: whether this machine and this home are fit for a night."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import SettingsError
from nightshift.command.options import Json
from nightshift.command.terminal import line, print_json, screen, text

if TYPE_CHECKING:
    from rich.console import Console

    from contracts.settings import Settings
    from nightshift.health.check import Check

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Start Spark too (some seconds).")] = False,
    as_json: Json = False,
) -> None:
    """Whether this machine and this home are fit for a night; exit code 1 if there is a problem.

    Looks at Java, Spark's files, Airflow, packages, the lake, the champion, disk and device. Changes nothing.

    Examples:
      nightshift doctor
      nightshift doctor --deep --json
    """
    made = checks(deep=deep)
    console = screen()
    found = []
    for check in made:
        found.append(check)
        if not as_json:
            draw(console, check)
    problems = sum(check.state == "problem" for check in found)
    if as_json:
        print_json({"fit": not problems, "checks": found})
    else:
        warnings = sum(check.state == "warning" for check in found)
        line(console)
        line(console, f"{len(found)} checks: {problems} problems, {warnings} warnings.")
    if problems:
        raise typer.Exit(1)


def checks(*, deep: bool) -> Iterator[Check]:
    """All checks, one after the other."""
    from contracts.settings import load_settings
    from nightshift.health import installation, machine
    from nightshift.health.check import ok, problem

    yield machine.python()
    yield installation.packages()
    yield machine.java()
    try:
        settings = load_settings()
    except SettingsError as error:
        yield problem("Settings", str(error), "Correct nightshift.toml; docs/settings.md lists every setting.")
        return
    yield ok("Settings", f"profile {settings.profile}, n = {settings.scoring.n}")
    yield from of_home(settings, deep=deep)


def of_home(settings: Settings, *, deep: bool) -> Iterator[Check]:
    """The checks that look at the home."""
    from nightshift.health import data, installation, machine

    yield machine.writable_home(settings)
    yield machine.disk(settings)
    yield machine.time_zones(settings)
    yield from installation.spark_files(settings)
    if deep:
        yield installation.spark_starts(settings)
    yield installation.airflow(settings)
    yield from data.tables(settings)
    yield data.champion(settings)
    yield machine.device(settings)


def draw(console: Console, check: Check) -> None:
    """A line, and for what is not well one on how to mend it."""
    from rich.text import Text

    told = Text.assemble(text(f"{check.state:<8}", STYLES[check.state]), text(f"{check.name:<20}"), text(check.found))
    console.print(told, soft_wrap=True)
    if check.mend:
        line(console, f"{'':<28}{check.mend}")
