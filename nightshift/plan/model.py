"""The model of a night: what is predicted from rates, without looking at anything. Pure functions.

A night is its steps, one after the other, and a step takes, in seconds,

    fixed + (per event of the day · its events + per event · events + per item · items + per user · users) / cores

where a step without Spark has one core. `score_users` has a fifth term, what its workers do for each user:

    users · (a + items · (dimensions of vectors + dimensions of texts) / products a second) / cores

with ``a`` the seconds of a user that the catalogue's size does not change: encoder, candidates, features, ranker, rows.
Approximate search (`models.approximate`) puts another time in the place of the term with the items: of n items it
compares a user with 4·√n centres and with the items of ``probes`` lists of √n/4, and making the lists takes the driver
10 passes of 64 items a list over all centres, and one of all items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.approximate import TRAINED_ON, number_of_lists

PASSES = 10
"""Of faiss's k-means, its default for lists."""
SCORE = "score_users"
MATCHING = "matching"
"""The part of `score_users` that approximate search makes faster."""
PAYS = 0.05
"""Of a night: what approximate search has to save."""
MOST_ITEMS = 100_000_000
"""Where the search for the catalogue of which approximate search would pay ends."""


@dataclass(frozen=True)
class Shop:
    """What is planned for."""

    users: int  # with events, each of whom gets a list
    items: int
    events_per_user: float  # in the history
    days: float  # of the history: the night's own events are one of so many parts
    cores: int  # that Spark has

    @property
    def events(self) -> float:
        """Of the history."""
        return self.users * self.events_per_user


@dataclass(frozen=True)
class Rate:
    """What one step takes: seconds, and seconds of a core for each thing that it goes through."""

    fixed: float
    per_day_event: float = 0.0
    per_event: float = 0.0
    per_item: float = 0.0
    per_user: float = 0.0
    spark: bool = True

    def seconds(self, shop: Shop) -> float:
        """Of a shop's night, without what workers do for users."""
        work = (
            self.per_day_event * shop.events / shop.days
            + self.per_event * shop.events
            + self.per_item * shop.items
            + self.per_user * shop.users
        )
        return self.fixed + work / (shop.cores if self.spark else 1)


@dataclass(frozen=True)
class UserRate:
    """What a worker does for a user, on one core."""

    parts: Mapping[str, float]  # seconds of each part but matching: they are ``a`` together
    products: float  # multiplications and additions a second, of matching: items · dimensions
    dimensions: int  # of vectors and texts together

    def matching(self, items: int) -> float:
        """Seconds of a user's exact searches."""
        return items * self.dimensions / self.products


@dataclass(frozen=True)
class SearchRate:
    """What approximate search takes, on one core."""

    fixed: float  # seconds of a user: heaps of k, sorting, filtering
    products: float  # multiplications and additions a second, where a user is compared with items of lists
    making: float  # the same where lists are made
    probes: int

    def matching(self, items: int, user: UserRate) -> float:
        """Seconds of a user's searches, for the centres at the rate of the exact search."""
        lists = number_of_lists(items)
        compared = min(self.probes / lists, 1) * items
        return self.fixed + user.matching(lists) + compared * user.dimensions / self.products

    def lists(self, items: int, user: UserRate) -> float:
        """Seconds until the lists are made, on the driver, by one core."""
        lists = number_of_lists(items)
        compared = (PASSES * min(TRAINED_ON * lists, items) + items) * lists
        return compared * user.dimensions / self.making


@dataclass(frozen=True)
class Memory:
    """Bytes of one kind of processes."""

    fixed: float
    per_item: float = 0.0
    per_user: float = 0.0
    per_core: bool = False  # there is one such process for each core

    def bytes(self, shop: Shop) -> float:
        """All of them together."""
        one = self.fixed + self.per_item * shop.items + self.per_user * shop.users
        return one * (shop.cores if self.per_core else 1)


@dataclass(frozen=True)
class Rates:
    """All that the model is asked with."""

    steps: Mapping[str, Rate]  # in the order of a night
    user: UserRate
    search: SearchRate
    memory: Mapping[str, Memory]
    factors: Mapping[str, float]  # by which the shop's own nights were slower than the model, by step

    def seconds(self, shop: Shop, step: str) -> float:
        """What a step takes."""
        workers = sum(self.inside(shop).values()) if step == SCORE else 0.0
        return (self.steps[step].seconds(shop) + workers) * self.factors.get(step, 1.0)

    def inside(self, shop: Shop) -> dict[str, float]:
        """Seconds of `score_users` in which its workers are at work for users, by part, before its factor."""
        share = shop.users / shop.cores
        parts = {name: each * share for name, each in self.user.parts.items()}
        return parts | {MATCHING: self.user.matching(shop.items) * share}


@dataclass(frozen=True)
class Approximate:
    """What approximate search would do to the night."""

    share: float  # of the night that exact matching takes
    speed_up: float  # of matching
    making: float  # seconds until the lists are made
    saving: float  # seconds of the night; below 0 it would take longer
    pays_from: int | None  # items with which it saves PAYS of the night, all else as it is; None: of no catalogue


def approximate(rates: Rates, shop: Shop) -> Approximate:
    """Approximate search for a shop's night, and from how many items it would pay."""
    exact = rates.user.matching(shop.items)
    factor = rates.factors.get(SCORE, 1.0)
    return Approximate(
        exact * shop.users / shop.cores * factor / night(rates, shop),
        exact / rates.search.matching(shop.items, rates.user),
        rates.search.lists(shop.items, rates.user) * factor,
        saving(rates, shop),
        next((items for items in _sizes() if pays(rates, replace(shop, items=items))), None),
    )


def night(rates: Rates, shop: Shop) -> float:
    """Seconds of all steps, with exact search."""
    return sum(rates.seconds(shop, step) for step in rates.steps)


def saving(rates: Rates, shop: Shop) -> float:
    """Seconds of a night that approximate search saves; below 0 it takes more."""
    gain = rates.user.matching(shop.items) - rates.search.matching(shop.items, rates.user)
    seconds = gain * shop.users / shop.cores - rates.search.lists(shop.items, rates.user)
    return seconds * rates.factors.get(SCORE, 1.0)


def pays(rates: Rates, shop: Shop) -> bool:
    """Whether approximate search saves enough of a night to be worth what it misses."""
    return saving(rates, shop) >= PAYS * night(rates, shop)


def _sizes() -> list[int]:
    """Sizes of catalogues, of two digits each: 1,000, 1,100, … 100,000,000."""
    steps = range(10, 100)
    return [step * 10**power for power in range(2, int(math.log10(MOST_ITEMS))) for step in steps]
