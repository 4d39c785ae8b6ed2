"""How figures and days stand in the page."""

from __future__ import annotations

from datetime import date


def count(value: float) -> str:
    """A number of things, for example ``1,236``."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A share, for example ``12.5%``."""
    return f"{value:.1%}"


def day_label(day: date) -> str:
    """A day of a plot, for example ``23 Dec``."""
    return f"{day.day} {day:%b}"
