"""Generated shops of many kinds: each has something to learn that the popular list does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from contracts.settings import Baselines, Cooccurrence, Encoder, Ranker, Tower, Training
from models.baselines import Als, Baseline, Factors, ItemKnn, Popular
from models.behaviours import Behaviours, Known
from models.catalogue import Catalogue
from models.encoder_training import Judge
from models.fit import TrainingData, fit
from models.histories import DAY, Flags, Histories, Ints, Longs
from models.in_memory import InMemory
from models.metrics import Doubles, Relevant, accuracy
from models.recommend import Rules

END = 1_000 * DAY
"""Where the test window ends, seconds."""
VIEW, CART, PURCHASE = 0, 1, 2
BEHAVIOURS = Behaviours(("view", "cart", "purchase"), (0.1, 0.4, 1.0), (PURCHASE,))
KINDS = (
    "tea", "coffee", "chocolate", "pasta", "cheese", "soap", "shampoo", "candles", "garden tools", "running shoes",
    "cat food", "dog food", "picture books", "crime novels", "board games", "headphones",
)  # fmt: skip
COLOURS = ("red", "green", "blue", "black", "white", "yellow", "dark", "light")

SETTINGS = Training(
    tower=Tower(tuning="frozen", max_tokens=12, text_batch=64),
    encoder=Encoder(vector_size=32, length=40, layers=1, heads=2, epochs=8, min_steps=600, negatives=128, dropout=0.1),
    cooccurrence=Cooccurrence(neighbours=20),
    ranker=Ranker(windows=4, networks=1, hidden=32, epochs=6, min_steps=200, negatives=0.5, users_per_batch=64),
)
"""Small, and with a frozen tower: a shop is trained within seconds."""


@dataclass(frozen=True)
class Shop:
    """All that happened in a shop, the test window at its end."""

    catalogue: Catalogue
    histories: Histories
    horizon: int  # seconds
    exclude_seen_days: dict[int, int] = field(default_factory=dict)

    @property
    def now(self) -> int:
        """Start of the test window, seconds."""
        return END - self.horizon

    def data(self) -> TrainingData:
        """What a model may be fitted on."""
        before = self.now - self.horizon
        inside = self.histories.between(before, self.now)
        return TrainingData(
            self.catalogue,
            [f"u{number:05d}" for number in range(len(self.histories))],
            self.histories.before(self.now),
            Judge(self.histories.before(before), Relevant.from_histories(inside.select(inside.behaviours == PURCHASE))),
            BEHAVIOURS,
            before,
            self.now,
            self.exclude_seen_days,
        )


@dataclass(frozen=True)
class Judged:
    """NDCG@10 of each user of the test window who has something relevant, by recommender, [users]."""

    values: dict[str, Doubles]
    known: Known
    relevant: Relevant
    lists: dict[str, Ints]

    def gain(self, rival: str, users: Flags | None = None) -> tuple[float, float]:
        """The model's mean gain over a rival, and the lower end of its 95% interval."""
        gains = self.values["model"] - self.values[rival]
        gains = gains if users is None else gains[users]
        gains = gains[~np.isnan(gains)]
        return float(gains.mean()), float(gains.mean() - 1.96 * gains.std(ddof=1) / len(gains) ** 0.5)

    def only(self, keep: Callable[[Known, Relevant], Flags]) -> Judged:
        """Judged by a part of what is relevant: ``keep`` gives [relevant]."""
        part = self.relevant.select(keep(self.known, self.relevant))
        values = {name: accuracy(lists, part, 10)["ndcg"] for name, lists in self.lists.items()}
        return replace(self, values=values, relevant=part)


def trained_and_judged(
    shop: Shop, settings: Training = SETTINGS, rules: Rules | None = None, factors: Factors | None = None
) -> Judged:
    """Fits a model on the shop as the DAG would, and ranks for the users of its test window as the night would."""
    data = shop.data()
    fitted = fit(data, settings, lambda *_: None)
    everyone = Known.of(data.histories, fitted.behaviours, shop.now)
    excluded = data.excluded(shop.now)
    future = shop.histories.between(shop.now, END)
    relevant = Relevant.from_histories(future.select(future.behaviours == PURCHASE))
    relevant = excluded.out_of(relevant, len(shop.catalogue))
    users = np.flatnonzero((relevant.counts > 0) & (everyone.past.lengths > 0))
    known, relevant, excluded = everyone.take(users), relevant.take(users), excluded.take(users)
    sellable = everyone.only(shop.catalogue.available)
    lists = {
        "model": InMemory.of(fitted, shop.catalogue, everyone, settings).lists(known, rules or Rules(20), excluded)
    }
    baselines: list[Baseline] = [Popular(Baselines()), ItemKnn(Baselines(), settings.cooccurrence)]
    if factors is not None:
        baselines.append(Als(Baselines(), factors))
    for each in baselines:
        made = each.fit(sellable, len(shop.catalogue)).recommend(sellable.take(users), 20, excluded)
        lists[each.name.removeprefix("baseline/")] = made
    values = {name: accuracy(made, relevant, 10)["ndcg"] for name, made in lists.items()}
    return Judged(values, known, relevant, lists)


def catalogue_of(kinds: Ints, seed: int, available: Flags | None = None) -> Catalogue:
    """Items whose texts name their kind; the attributes say nothing, so that only the text tells of new items."""
    random = np.random.default_rng(seed)
    words = random.integers(0, len(COLOURS), (len(kinds), 2))
    texts = [f"{COLOURS[a]} {COLOURS[b]} {KINDS[kind]}" for kind, (a, b) in zip(kinds, words, strict=True)]
    same = np.zeros((4, len(kinds)), dtype=np.int32)
    return Catalogue(
        pd.Index([f"i{number:05d}" for number in range(len(kinds))]),
        np.array(texts, dtype=object),
        same,
        ((None,),) * 4,
        np.ones(len(kinds), dtype=np.bool_) if available is None else available,
    )


class Draw:
    """Loose events that become histories."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.rows: list[tuple[int, int, int, int]] = []

    def add(self, user: int, item: int, time: float, behaviour: int = PURCHASE) -> None:
        """An event, ``time`` in seconds."""
        self.rows.append((user, item, behaviour, int(time)))

    def histories(self, users: int) -> Histories:
        """All of them."""
        user, item, behaviour, time = np.array(self.rows, dtype=np.int64).T
        return Histories.from_events(users, user, item.astype(np.int32), behaviour.astype(np.int32), time)


def weighted(random: np.random.Generator, items: Longs, weights: np.ndarray) -> int:
    """One of ``items`` by weight."""
    return int(items[np.searchsorted(np.cumsum(weights[items]), random.random() * weights[items].sum())])


def no_repeats(seed: int = 0) -> Shop:
    """Books or films: nobody takes an item twice, tastes are two kinds, and what is taken leads to a neighbour."""
    draw, users, items = Draw(seed), 1600, 320
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        liked = draw.random.choice(16, 2, replace=False)
        mine = np.flatnonzero(np.isin(kinds, liked))
        seen: set[int] = set()
        days = np.sort(draw.random.uniform(0, 90, draw.random.integers(8, 16)))
        for day in days:
            pool = mine if draw.random.random() < 0.85 else np.arange(items)
            pool = np.array([each for each in pool if each not in seen])
            if len(pool):
                item = weighted(draw.random, pool, popularity)
                seen.add(item)
                draw.add(user, item, END - 90 * DAY + day * DAY)
    return Shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY, {PURCHASE: 1000})


def few_events(seed: int = 0) -> Shop:
    """Two to four purchases a user, some views before them."""
    draw, users, items = Draw(seed), 2500, 160
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        mine = np.flatnonzero(kinds == draw.random.integers(0, 16))
        for day in draw.random.uniform(0, 84, draw.random.integers(2, 5)):
            for behaviour in (VIEW, VIEW, PURCHASE) if draw.random.random() < 0.7 else (PURCHASE,):
                pool = mine if draw.random.random() < 0.85 else np.arange(items)
                draw.add(user, weighted(draw.random, pool, popularity), END - 84 * DAY + day * DAY, behaviour)
    return Shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


def long_histories(seed: int = 0) -> Shop:
    """A few users with thousands of events among others with some dozens; everyone has favourites."""
    draw, users, items = Draw(seed), 200, 200
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        liked = draw.random.choice(16, 3, replace=False)
        favourites = draw.random.choice(np.flatnonzero(np.isin(kinds, liked)), 12, replace=False)
        for day in draw.random.uniform(0, 84, 5000 if user < 4 else 50):
            pool = favourites if draw.random.random() < 0.7 else np.arange(items)
            draw.add(user, weighted(draw.random, pool, popularity), END - 84 * DAY + day * DAY)
    return Shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


def turnover(seed: int = 0) -> Shop:
    """The catalogue turns over: an item lives two weeks, so that most of what is taken next is new to the model."""
    draw, users, weeks = Draw(seed), 700, 14
    per_week = 48
    items = per_week * weeks
    kinds = (np.arange(items) % 16).astype(np.int32)
    born = np.repeat(np.arange(weeks), per_week)
    popularity = draw.random.pareto(1.5, items) + 0.5
    for user in range(users):
        liked = draw.random.choice(16, 2, replace=False)
        for day in draw.random.uniform(0, 7 * weeks, draw.random.integers(12, 26)):
            week = int(day // 7)
            alive = (born == week) | (born == week - 1)
            mine = np.flatnonzero(alive & np.isin(kinds, liked))
            pool = mine if draw.random.random() < 0.85 else np.flatnonzero(alive)
            draw.add(user, weighted(draw.random, pool, popularity), END - 7 * (weeks - day / 7) * DAY)
    available = born >= weeks - 2
    return Shop(catalogue_of(kinds, seed, available), draw.histories(users), 7 * DAY, {PURCHASE: 1000})


def two_weeks(seed: int = 0) -> Shop:
    """Two weeks of history in all: views, carts and purchases, and a horizon of a day."""
    draw, users, items = Draw(seed), 900, 240
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        mine = np.flatnonzero(np.isin(kinds, draw.random.choice(16, 2, replace=False)))
        for day in draw.random.uniform(0, 15, draw.random.integers(4, 12)):
            time = END - 15 * DAY + day * DAY
            for _ in range(draw.random.integers(1, 4)):
                pool = mine if draw.random.random() < 0.85 else np.arange(items)
                item = weighted(draw.random, pool, popularity)
                draw.add(user, item, time, VIEW)
                if draw.random.random() < 0.4:
                    draw.add(user, item, time + 60, CART)
                    if draw.random.random() < 0.7:
                        draw.add(user, item, time + 120, PURCHASE)
    return Shop(catalogue_of(kinds, seed), draw.histories(users), DAY)


def viewers(seed: int = 0) -> Shop:
    """Half of the users have only views yet; what they take in the end is what they viewed, or of its kind."""
    draw, users, items = Draw(seed), 1000, 240
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        only_views = user % 2 == 1
        mine = np.flatnonzero(np.isin(kinds, draw.random.choice(16, 2, replace=False)))
        viewed: list[int] = []
        for day in np.sort(draw.random.uniform(0, 70, 14)):
            time = END - 70 * DAY + day * DAY
            item = weighted(draw.random, mine, popularity)
            draw.add(user, item, time, VIEW)
            viewed.append(item)
            buys = day > 63 if only_views else draw.random.random() < 0.4
            if buys:
                draw.add(
                    user, viewed[-int(draw.random.integers(1, min(3, len(viewed)) + 1))], time + DAY / 24, PURCHASE
                )
    return Shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


def grocer(seed: int = 0) -> Shop:
    """Everyone comes back for their own staples, each in its rhythm."""
    draw, users, items = Draw(seed), 300, 200
    kinds = (np.arange(items) % 16).astype(np.int32)
    popularity = draw.random.pareto(1.2, items) + 0.3
    for user in range(users):
        for staple in draw.random.choice(items, 14, replace=False, p=popularity / popularity.sum()):
            gap = draw.random.choice([4, 7, 14, 28])
            day = draw.random.uniform(0, gap)
            while day < 90:
                draw.add(user, staple, END - 90 * DAY + day * DAY)
                day += gap * draw.random.uniform(0.8, 1.2)
        for day in draw.random.uniform(0, 90, 12):
            draw.add(user, weighted(draw.random, np.arange(items), popularity), END - 90 * DAY + day * DAY)
    return Shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)
