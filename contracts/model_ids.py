"""The ids of models: the day before which a model's events lie, and a hash of all that it is made from."""

from __future__ import annotations

from datetime import date

LENGTH_OF_DAY = len("2017-12-23")
_REFITTED = "-refitted-"


def model_id(as_of: date, digest: str) -> str:
    """The id of a model, for example ``2017-12-23-0a1b2c3d``."""
    return f"{as_of}-{digest[:8]}"


def as_of(model: str) -> date | None:
    """The as-of date that an id tells; None for an id of another kind."""
    try:
        return date.fromisoformat(model[:LENGTH_OF_DAY])
    except ValueError:
        return None


def refitted(model: str, digest: str) -> str:
    """The id of a judged model that has learnt its test window too, for example ``2017-12-23-0a1b2c3d-refitted-4e5f``.

    The hash is of the events that it has learnt.
    """
    return f"{model}{_REFITTED}{digest[:4]}"


def judged(model: str) -> str:
    """The id under which the gate judged a model: evaluations, decisions and costs have this one."""
    return model.partition(_REFITTED)[0]


def knows_later(model: str, end: date) -> bool:
    """Whether a model was made from events of the day ``end`` or after it."""
    day = as_of(model)
    return day is not None and day > end
