"""Measures of drift as the log, a notice and the page say them."""

from __future__ import annotations

from models.catalogue import ATTRIBUTES
from spark_jobs.quality.drift import BEHAVIOURS, NEW_ITEMS, NEW_USERS, VOLUME, VOLUME_OF_NIGHT, Measure

TITLES = {
    BEHAVIOURS: "share of a behaviour",
    NEW_ITEMS: "events of new items",
    NEW_USERS: "events of new users",
    **{name: f"{name.replace('_', ' ')}, stability index" for name in ATTRIBUTES},
    VOLUME: "events of the week",
    VOLUME_OF_NIGHT: "events of the night",
}
"""What each measure is called."""

LONGEST = 60
"""Characters shown of a value out of the catalogue or the log."""


def value(each: Measure, figure: float | None) -> str:
    """The value, or the bound, of a measure: points of a share, an index, or a factor; a dash where there is none."""
    if figure is None:
        return "–"
    if each.measure in (BEHAVIOURS, NEW_ITEMS, NEW_USERS):
        return f"{round(100 * figure, 1) + 0.0:.1f} points"  # not -0.0
    return f"{figure:.2f}" if each.measure in ATTRIBUTES else f"{figure:.2f} ×"


def moved(each: Measure) -> str:
    """What of it has moved most, from where to where; why, where it was not measured."""
    if each.before is None or each.now is None:
        return f"not measured: {each.note}" if each.note else ""
    is_volume = each.measure in (VOLUME, VOLUME_OF_NIGHT)
    before, now = (f"{figure:,.0f}" if is_volume else f"{figure:.1%}" for figure in (each.before, each.now))
    name = each.name or ""
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return f"{name} {before} → {now}".strip()


def in_words(each: Measure) -> str:
    """A measure in a line."""
    if each.value is None:
        return f"{TITLES[each.measure]}: {moved(each)}"
    bound = f", bound {value(each, each.bound)}" if each.bound is not None else ""
    return f"{TITLES[each.measure]} {value(each, each.value)} ({moved(each)}{bound})"
