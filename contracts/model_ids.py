"""The ids of models: the day before which a model's events lie, and a hash of all that it is made from."""

from __future__ import annotations

from datetime import date

LENGTH_OF_DAY = len("2017-12-23")


def model_id(as_of: date, digest: str) -> str:
    """The id of a model, for example ``2017-12-23-0a1b2c3d``."""
    return f"{as_of}-{digest[:8]}"


def as_of(model: str) -> date | None:
    """The as-of date that an id tells; None for an id of another kind."""
    try:
        return date.fromisoformat(model[:LENGTH_OF_DAY])
    except ValueError:
        return None


def knows_later(model: str, end: date) -> bool:
    """Whether a model was made from events of the day ``end`` or after it."""
    day = as_of(model)
    return day is not None and day > end
