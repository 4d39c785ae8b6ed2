"""Generated shops of many kinds: each has something to learn that the popular list does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from contracts.ratings import Scale
from contracts.settings import Baselines, Cooccurrence, Encoder, Ranker, Tower, Training
from models.baselines.als import Als, Factors
from models.baselines.base import Baseline
from models.baselines.item_knn import ItemKnn
from models.baselines.popular import Popular
from models.behaviours import Behaviours, Known
from models.catalogue import Catalogue
from models.fit import fit
from models.histories import DAY, Flags, Histories, Ints, Longs
from models.in_memory import InMemory
from models.metrics import Doubles, Estimate, Relevant, accuracy, paired_difference
from models.recommend import Rules
from nightshift.bench_model.protocols import Case

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


def shop(
    catalogue: Catalogue,
    histories: Histories,
    horizon: int,
    exclude_seen_days: Mapping[int, int] | None = None,
    behaviours: Behaviours = BEHAVIOURS,
) -> Case:
    """A shop of which the last ``horizon`` (seconds) are the test window."""
    users = [f"u{number:05d}" for number in range(len(histories))]
    rules = exclude_seen_days or {}
    return Case("a shop", catalogue, users, histories, behaviours, END - horizon, horizon, rules)


@dataclass(frozen=True)
class Judged:
    """NDCG@10 of each user of the test window who has something relevant, by recommender, [users]."""

    values: dict[str, Doubles]
    known: Known
    relevant: Relevant
    lists: dict[str, Ints]

    def gain(self, rival: str, users: Flags | None = None) -> Estimate:
        """How much more the model has than a rival, on the same users."""
        ours, theirs = self.values["model"], self.values[rival]
        return paired_difference(ours, theirs) if users is None else paired_difference(ours[users], theirs[users])

    def only(self, keep: Callable[[Known, Relevant], Flags]) -> Judged:
        """Judged by a part of what is relevant: ``keep`` gives [relevant]."""
        part = self.relevant.select(keep(self.known, self.relevant))
        values = {name: accuracy(lists, part, 10)["ndcg"] for name, lists in self.lists.items()}
        return replace(self, values=values, relevant=part)


def trained_and_judged(
    case: Case, settings: Training = SETTINGS, rules: Rules | None = None, factors: Factors | None = None
) -> Judged:
    """Fits a model on the shop as the DAG would, and ranks for the users of its test window as the night would."""
    model = model_of(case, settings)
    users, relevant, excluded = case.judged
    known, sellable = case.everyone.take(users), case.everyone.only(case.catalogue.available)
    lists = {"model": model.lists(known, rules or Rules(20), excluded)}
    baselines: list[Baseline] = [Popular(Baselines()), ItemKnn(Baselines(), settings.cooccurrence)]
    if factors is not None:
        baselines.append(Als(Baselines(), factors))
    for each in baselines:
        made = each.fit(sellable, len(case.catalogue)).recommend(sellable.take(users), 20, excluded)
        lists[each.name.removeprefix("baseline/")] = made
    values = {name: accuracy(made, relevant, 10)["ndcg"] for name, made in lists.items()}
    return Judged(values, known, relevant, lists)


def model_of(case: Case, settings: Training = SETTINGS) -> InMemory:
    """A model that is fitted on the shop, as of its test window."""
    fitted = fit(case.data, settings, lambda *_: None)
    return InMemory.of(fitted, case.catalogue, case.everyone, settings)


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
    """Items of all kinds, some of them popular, and loose events of them that become histories."""

    def __init__(self, seed: int, items: int = 0, tail: float = 1.2, least: float = 0.3) -> None:
        self.random = np.random.default_rng(seed)
        self.kinds = (np.arange(items) % len(KINDS)).astype(np.int32)
        self.popularity = self.random.pareto(tail, items) + least
        self.rows: list[tuple[int, int, int, int]] = []
        self.ratings: list[float] = []

    def add(self, user: int, item: int, time: float, behaviour: int = PURCHASE, rating: float = float("nan")) -> None:
        """An event, ``time`` in seconds."""
        self.rows.append((user, item, behaviour, int(time)))
        self.ratings.append(rating)

    def histories(self, users: int) -> Histories:
        """All of them."""
        user, item, behaviour, time = np.array(self.rows, dtype=np.int64).T
        ratings = np.array(self.ratings, dtype=np.float32)
        numbers = (item.astype(np.int32), behaviour.astype(np.int32))
        return Histories.from_events(users, user, *numbers, time, rating=ratings)


def weighted(random: np.random.Generator, items: Longs, weights: np.ndarray) -> int:
    """One of ``items`` by weight."""
    return int(items[np.searchsorted(np.cumsum(weights[items]), random.random() * weights[items].sum())])


def no_repeats(seed: int = 0) -> Case:
    """Books or films: nobody takes an item twice, tastes are two kinds, and what is taken leads to a neighbour."""
    users, items = 1600, 320
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
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
    return shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY, {PURCHASE: 1000})


def few_events(seed: int = 0) -> Case:
    """Two to four purchases a user, some views before them."""
    users, items = 2500, 160
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
    for user in range(users):
        mine = np.flatnonzero(kinds == draw.random.integers(0, 16))
        for day in draw.random.uniform(0, 84, draw.random.integers(2, 5)):
            for behaviour in (VIEW, VIEW, PURCHASE) if draw.random.random() < 0.7 else (PURCHASE,):
                pool = mine if draw.random.random() < 0.85 else np.arange(items)
                draw.add(user, weighted(draw.random, pool, popularity), END - 84 * DAY + day * DAY, behaviour)
    return shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


def long_histories(seed: int = 0) -> Case:
    """A few users with thousands of events among others with some dozens; everyone has favourites."""
    users, items = 200, 200
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
    for user in range(users):
        liked = draw.random.choice(16, 3, replace=False)
        favourites = draw.random.choice(np.flatnonzero(np.isin(kinds, liked)), 12, replace=False)
        for day in draw.random.uniform(0, 84, 5000 if user < 4 else 50):
            pool = favourites if draw.random.random() < 0.7 else np.arange(items)
            draw.add(user, weighted(draw.random, pool, popularity), END - 84 * DAY + day * DAY)
    return shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


def turnover(seed: int = 0) -> Case:
    """The catalogue turns over: an item lives two weeks, so that most of what is taken next is new to the model."""
    users, weeks, per_week = 700, 14, 48
    draw = Draw(seed, per_week * weeks, tail=1.5, least=0.5)
    kinds, popularity = draw.kinds, draw.popularity
    born = np.repeat(np.arange(weeks), per_week)
    for user in range(users):
        liked = draw.random.choice(16, 2, replace=False)
        for day in draw.random.uniform(0, 7 * weeks, draw.random.integers(12, 26)):
            week = int(day // 7)
            alive = (born == week) | (born == week - 1)
            mine = np.flatnonzero(alive & np.isin(kinds, liked))
            pool = mine if draw.random.random() < 0.85 else np.flatnonzero(alive)
            draw.add(user, weighted(draw.random, pool, popularity), END - 7 * (weeks - day / 7) * DAY)
    available = born >= weeks - 2
    return shop(catalogue_of(kinds, seed, available), draw.histories(users), 7 * DAY, {PURCHASE: 1000})


def two_weeks(seed: int = 0) -> Case:
    """Two weeks of history in all: views, carts and purchases, and a horizon of a day."""
    users, items = 900, 240
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
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
    return shop(catalogue_of(kinds, seed), draw.histories(users), DAY)


def viewers(seed: int = 0) -> Case:
    """Half of the users have only views yet; what they take in the end is what they viewed, or of its kind."""
    users, items = 1000, 240
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
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
    return shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)


STARS = Behaviours(("rating",), (1.0,), (0,), (), Scale(1, 5, 4))
"""A shop whose users rate, and do nothing else."""


def raters(seed: int = 0) -> Case:
    """Films of two genres: everyone sees as many of both, and gives five stars or four to the one, one or two to the
    other. Nobody rates a film twice."""
    users, items = 800, 160
    draw = Draw(seed, items)
    genres = draw.kinds % 2
    for user in range(users):
        seen = draw.random.choice(
            items, draw.random.integers(12, 24), replace=False, p=draw.popularity / draw.popularity.sum()
        )
        for item, day in zip(seen, draw.random.uniform(0, 84, len(seen)), strict=True):
            stars = int(draw.random.integers(4, 6) if genres[item] == user % 2 else draw.random.integers(1, 3))
            draw.add(user, int(item), END - 84 * DAY + day * DAY, 0, stars)
    return shop(catalogue_of(genres, seed), draw.histories(users), 7 * DAY, {0: 1000}, STARS)


def grocer(seed: int = 0) -> Case:
    """Everyone comes back for their own staples, each in its rhythm."""
    users, items = 300, 200
    draw = Draw(seed, items)
    kinds, popularity = draw.kinds, draw.popularity
    for user in range(users):
        for staple in draw.random.choice(items, 14, replace=False, p=popularity / popularity.sum()):
            gap = draw.random.choice([4, 7, 14, 28])
            day = draw.random.uniform(0, gap)
            while day < 90:
                draw.add(user, staple, END - 90 * DAY + day * DAY)
                day += gap * draw.random.uniform(0.8, 1.2)
        for day in draw.random.uniform(0, 90, 12):
            draw.add(user, weighted(draw.random, np.arange(items), popularity), END - 90 * DAY + day * DAY)
    return shop(catalogue_of(kinds, seed), draw.histories(users), 7 * DAY)
