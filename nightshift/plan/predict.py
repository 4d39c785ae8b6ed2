"""A plan from what was asked for: the rates, where each came from, and what they say of the night."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.errors import InputError
from contracts.settings import Settings
from nightshift.plan import written_down
from nightshift.plan.calibration import calibrated, dimensions_of
from nightshift.plan.model import SCORE, Approximate, Rates, Shop, approximate, night
from nightshift.plan.own import OwnNight, corrected, measured_night, own_nights

OWN, CALIBRATED, WRITTEN = "own nights", "measured now", "written down"
"""Where a rate comes from."""
EVENTS_PER_USER, DAYS = 30.0, 56.0
"""Of a shop that has no nights yet: those of the shop of `nightshift bench-night`."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for; None is the shop's own figure, or that of a shop without nights."""

    users: int
    items: int
    cores: int
    events_per_user: float | None
    price_per_hour: float | None


@dataclass(frozen=True)
class Part:
    """A step of the night, or a part of `score_users`."""

    name: str
    seconds: float
    source: str  # of OWN, CALIBRATED, WRITTEN
    measured: float | None = None  # seconds that it took, where a night is compared


@dataclass(frozen=True)
class Plan:
    """What a night would take."""

    shop: Shop
    steps: tuple[Part, ...]
    inside: tuple[Part, ...]  # of score_users
    seconds: float
    hours: float
    cost: float | None  # None where no price is known
    measured: float | None  # seconds of the night that is compared
    memory: Mapping[str, float]  # bytes at their highest, by kind of process, all of them together
    measured_memory: Mapping[str, float]  # of the night that is compared
    search: Approximate
    nights: tuple[str, ...]  # own nights that the factors are of
    origin: str  # of what is written down


def plan(settings: Settings, wanted: Wanted) -> Plan:
    """Predicts from the own nights of this home; where there are none, from what a user costs on this machine now."""
    nights = own_nights(settings)
    own = nights[0].shop if nights else None
    shop = Shop(
        wanted.users,
        wanted.items,
        wanted.events_per_user or (own.events_per_user if own else EVENTS_PER_USER),
        own.days if own else DAYS,
        wanted.cores,
    )
    rates = written_down.rates(dimensions_of(settings), settings.scoring.search_probes)
    if nights:
        return told(corrected(rates, nights), shop, wanted.price_per_hour, nights=nights)
    rates = replace(rates, user=written_down.at_work(calibrated(settings, shop)))
    return told(rates, shop, wanted.price_per_hour)


def against(
    settings: Settings, file: Path, like: Path | None, cores: int | None, price_per_hour: float | None
) -> list[Plan]:
    """Predicts the nights that `nightshift bench-night --json` wrote, without having seen them.

    Args:
        settings: Of this home; the networks are as large as in the nights of bench-night.
        file: The nights.
        like: Other nights of bench-night, which count as the shop's own; None: a user is measured on the spot.
        cores: That Spark had; None: those of this machine.
        price_per_hour: Of the machines, if it is known.

    Raises:
        InputError: a file is none of these.
    """
    full = Settings(home=settings.home)  # as the nights of bench-night
    had = cores or os.cpu_count() or 1
    rates = written_down.rates(dimensions_of(full), full.scoring.search_probes)
    nights = nights_in(file, had)
    if like is not None:
        own = nights_in(like, had)
        known = corrected(rates, own)
        return [told(known, each.shop, price_per_hour, nights=own, measured=each) for each in nights]
    plans = []
    for each in nights:
        measured_now = replace(rates, user=written_down.at_work(calibrated(full, each.shop)))
        plans.append(told(measured_now, each.shop, price_per_hour, measured=each))
    return plans


def nights_in(file: Path, cores: int) -> list[OwnNight]:
    """The nights of a file of bench-night.

    Raises:
        InputError: it has none.
    """
    try:
        nights = [measured_night(each, cores, DAYS) for each in json.loads(file.read_text())]
    except (ValueError, KeyError, TypeError, AttributeError):
        nights = []
    if not nights:
        raise InputError(f"{file} is not what `nightshift bench-night --json` writes, a list of nights.")
    return nights


def told(
    rates: Rates,
    shop: Shop,
    price_per_hour: float | None,
    *,
    nights: list[OwnNight] | None = None,
    measured: OwnNight | None = None,
) -> Plan:
    """What rates say of a shop's night.

    Args:
        rates: All of them.
        shop: What is planned for.
        price_per_hour: Of the machines, if it is known.
        nights: The own nights that the rates were corrected by.
        measured: A night that the plan is compared with.
    """
    took = measured.seconds if measured else {}
    steps = tuple(Part(step, rates.seconds(shop, step), _source(rates, step), took.get(step)) for step in rates.steps)
    factor = rates.factors.get(SCORE, 1.0)
    inside = tuple(Part(name, each * factor, _source(rates, SCORE)) for name, each in rates.inside(shop).items())
    seconds = night(rates, shop)
    hours = seconds / 3600
    return Plan(
        shop,
        steps,
        inside,
        seconds,
        hours,
        None if price_per_hour is None else hours * price_per_hour,
        sum(took.values()) if measured else None,
        {kind: each.bytes(shop) for kind, each in rates.memory.items()},
        measured.memory if measured else {},
        approximate(rates, shop),
        tuple(str(each.ds) for each in nights or []),
        written_down.ORIGIN,
    )


def _source(rates: Rates, step: str) -> str:
    if step in rates.factors:
        return OWN
    return CALIBRATED if step == SCORE and not rates.factors else WRITTEN
