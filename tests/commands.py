"""The command `nightshift` in a test: on the test's own home, with what it prints and how it ends."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from contracts.settings import Settings
from nightshift.command.app import app


def command(settings: Settings, *arguments: str) -> Result:
    """Runs `nightshift` with these arguments on the home of ``settings``, in the demo profile."""
    home = {"NIGHTSHIFT_HOME": str(settings.home), "NIGHTSHIFT_PROFILE": "demo", "COLUMNS": "200"}
    return CliRunner(env=home).invoke(app, list(arguments), catch_exceptions=False)


def told(settings: Settings, *arguments: str) -> str:
    """What a command prints that ends well."""
    result = command(settings, *arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def answer(settings: Settings, *arguments: str) -> Any:
    """What a command answers to machines."""
    return json.loads(told(settings, *arguments, "--json"))
