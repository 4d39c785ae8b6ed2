"""How far the events of a week have moved from those that the night's model was trained on.

A single day of a small shop is noise, and one weekday buys other things than another: everything is measured over the
seven days that end with the night, against whole weeks of the training. Of the night alone there is the volume, which
is only shown: a holiday is no reason to train a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from contracts.settings import Drift
from models.catalogue import ATTRIBUTES
from models.known_ids import Newcomers
from models.profile import Bins, Profile

BEHAVIOURS, NEW_ITEMS, NEW_USERS = "behaviours", "new_items", "new_users"
VOLUME, VOLUME_OF_NIGHT = "volume", "volume_of_night"
MEASURES = (BEHAVIOURS, NEW_ITEMS, NEW_USERS, *ATTRIBUTES, VOLUME, VOLUME_OF_NIGHT)
"""All measures, in the order in which they are shown."""

FLOOR = 1e-4
"""Share that an empty bin counts as, so that a value that comes or goes moves the index without making it infinite."""

OPEN_DAYS, USUAL_EVENTS = 4, 100
"""A volume needs so many days with events, and so many events that the training had on such days: else it is noise."""

OTHERS, NO_VALUE = "all other values", "no value"
"""How the bin of the rest and that of a missing attribute are called."""


@dataclass(frozen=True)
class Week:
    """The events of the seven days that end with a night."""

    night: date
    days: Mapping[date, int]  # events of each day that has any
    behaviours: Mapping[str, int]
    attributes: Mapping[str, Mapping[str | None, int]]  # of the events' items
    new_items: Newcomers  # to the model's training
    new_users: Newcomers

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.days.values())


@dataclass(frozen=True)
class Measure:
    """One thing that may drift."""

    measure: str  # of MEASURES
    value: float | None = None  # None: not measured
    bound: float | None = None  # None: only shown
    name: str | None = None  # what of it has moved most
    before: float | None = None  # its share, or its events, in training
    now: float | None = None  # and in the week
    note: str | None = None  # why it was not measured

    @property
    def drifted(self) -> bool:
        """Whether it lies beyond its bound."""
        return self.value is not None and self.bound is not None and self.value > self.bound


def measures(week: Week, profile: Profile | None, settings: Drift) -> list[Measure]:
    """All measures, in the order of `MEASURES`; without a profile none of them is known."""
    if profile is None:
        note = "the model was made before trainings left a profile: the next one has it"
        return [Measure(name, bound=bounds(settings)[name], note=note) for name in MEASURES]
    return [*_shares(week, profile, settings), *_volumes(week, profile, settings)]


def bounds(settings: Drift) -> dict[str, float | None]:
    """The bound of each measure."""
    return {
        BEHAVIOURS: settings.max_behaviour_change,
        NEW_ITEMS: settings.max_new_items,
        NEW_USERS: settings.max_new_users,
        **dict.fromkeys(ATTRIBUTES, settings.max_psi),
        VOLUME: settings.max_volume_factor,
        VOLUME_OF_NIGHT: None,
    }


def _shares(week: Week, profile: Profile, settings: Drift) -> Iterator[Measure]:
    """What is a share of events: needs enough of them on both sides."""
    bound = bounds(settings)
    for events, of in ((week.events, f"the week up to {week.night}"), (profile.events, "the training")):
        if events < settings.min_events:
            note = f"{of} has {events:,} events, fewer than {settings.min_events:,} ([drift] min_events)"
            yield from (Measure(name, bound=bound[name], note=note) for name in (BEHAVIOURS, NEW_ITEMS, NEW_USERS))
            yield from (Measure(name, bound=bound[name], note=note) for name in ATTRIBUTES)
            return
    yield behaviour_change(week.behaviours, profile.behaviours, bound[BEHAVIOURS])
    yield newcomers(NEW_ITEMS, profile.new_items, week.new_items.share, bound[NEW_ITEMS])
    yield newcomers(NEW_USERS, profile.new_users, week.new_users.share, bound[NEW_USERS])
    for name in ATTRIBUTES:
        yield attribute_change(name, profile.attributes[name], week.attributes[name], bound[name])


def behaviour_change(now: Mapping[str, int], before: Mapping[str, int], bound: float | None) -> Measure:
    """The largest change of a behaviour's share of the events; of equal ones the first by name."""
    names = sorted(now.keys() | before.keys())
    then, since = (_shares_of([counts.get(name, 0) for name in names]) for counts in (before, now))
    most = int(np.argmax(np.abs(since - then)))
    value = float(abs(since[most] - then[most]))
    return Measure(BEHAVIOURS, value, bound, names[most], float(then[most]), float(since[most]))


def newcomers(measure: str, before: float | None, now: float | None, bound: float | None) -> Measure:
    """By how much the share of events of new items or users is higher than in the training's own last week."""
    if before is None or now is None:
        note = "the training is too short to tell who is new" if before is None else "of these none is in the sample"
        return Measure(measure, bound=bound, note=note)
    return Measure(measure, now - before, bound, None, before, now)


def attribute_change(measure: str, before: Bins, now: Mapping[str | None, int], bound: float | None) -> Measure:
    """The population stability index of an attribute, and the value that contributes most to it."""
    if set(before.values) | set(now) == {None}:
        return Measure(measure, bound=bound, note="no item of the events has one")
    own = [now.get(value, 0) for value in before.values]
    then = _shares_of(before.events)
    since = _shares_of([*own, sum(now.values()) - sum(own)])
    parts = contributions(then, since)
    most = int(np.argmax(parts))
    names = [*(NO_VALUE if value is None else value for value in before.values), OTHERS]
    return Measure(measure, float(parts.sum()), bound, names[most], float(then[most]), float(since[most]))


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Population stability index of two counts of the same bins, 0 for equal shares.

    ``sum((q - p) * ln(q / p))`` over the bins' shares p and q, which is the symmetric divergence of Kullback and
    Leibler. Below 0.1 nothing has happened, above 0.25 the population is another one: Siddiqi, Credit Risk Scorecards
    (2006), after Lewis, An Introduction to Credit Scoring (1994).
    """
    return float(contributions(_shares_of(before), _shares_of(now)).sum())


def contributions(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each bin adds to the index, from shares [bins]; none is negative."""
    p, q = np.maximum(before, FLOOR), np.maximum(now, FLOOR)
    parts: NDArray[np.float64] = (q - p) * np.log(q / p)
    return parts


def _shares_of(counts: Sequence[int]) -> NDArray[np.float64]:
    """Shares of counts [bins]; of no events at all, zeros."""
    made = np.asarray(counts, dtype=np.float64)
    shares: NDArray[np.float64] = made / max(made.sum(), 1.0)
    return shares


def _volumes(week: Week, profile: Profile, settings: Drift) -> Iterator[Measure]:
    """Events of the week, and of the night, against the training's same weekdays; days without any are closed."""
    bound = settings.max_volume_factor
    usual = {day: profile.weekdays[day.weekday()] for day in week.days}
    known = {day: median for day, median in usual.items() if median is not None}
    if len(known) < OPEN_DAYS or sum(known.values()) < USUAL_EVENTS:
        usually = f"{len(known)} days with events, usually {sum(known.values()):,.0f} on such days"
        yield Measure(VOLUME, bound=bound, note=f"{usually}, are fewer than {OPEN_DAYS} and {USUAL_EVENTS}")
    else:
        yield volume_factor(VOLUME, sum(known.values()), sum(week.days[day] for day in known), bound)
    of_night = known.get(week.night, 0.0)
    yield volume_factor(VOLUME_OF_NIGHT, of_night, week.days.get(week.night, 0), None, f"{week.night:%A}")


def volume_factor(measure: str, before: float, now: float, bound: float | None, name: str | None = None) -> Measure:
    """How many times more, or fewer, events there are."""
    if not (before and now):
        return Measure(measure, bound=bound, name=name, note="there are no events of these weekdays to compare")
    return Measure(measure, max(now / before, before / now), bound, name, before, now)
