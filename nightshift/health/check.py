"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"
"""States of a check: with a problem a night fails; a warning is worth a look."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str
    found: str
    mend: str | None = None  # how to mend a problem


def ok(name: str, found: str) -> Check:
    """It is as it should be."""
    return Check(name, OK, found)


def warning(name: str, found: str, mend: str | None = None) -> Check:
    """A night can run."""
    return Check(name, WARNING, found, mend)


def problem(name: str, found: str, mend: str) -> Check:
    """A night fails."""
    return Check(name, PROBLEM, found, mend)
