"""Shops of many kinds: each trains and scores, and beats the popular list, item-kNN and ALS on its own next days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import SparkSession

from contracts.errors import InputError
from models.histories import DAY, Flags
from models.metrics import Relevant, accuracy
from models.ragged import row_of_each
from models.recommend import Rules
from nightshift.bench_model.protocols import Case
from spark_jobs.scoring.als import factors_of
from tests import shops
from tests.shops import CART, END, PURCHASE, VIEW, Judged, trained_and_judged

RIVALS = ("popular_7_days", "item_knn", "als")


def beats_all(judged: Judged, users: Flags | None = None) -> None:
    for rival in RIVALS:
        gain = judged.gain(rival, users)
        assert gain.low > 0, (rival, gain, {name: float(np.nanmean(each)) for name, each in judged.values.items()})


@pytest.mark.parametrize(
    "kind", [shops.no_repeats, shops.few_events, shops.long_histories, shops.two_weeks, shops.grocer]
)
def test_the_model_beats_what_is_simple(kind: Callable[[], Case], spark: SparkSession) -> None:
    beats_all(trained_and_judged(kind(), factors=factors_of(spark)))


def test_one_star_is_not_five(spark: SparkSession) -> None:
    shop = shops.raters()
    judged = trained_and_judged(shop, factors=factors_of(spark))
    users, relevant, excluded = shop.judged
    blind = replace(shop, behaviours=replace(shop.behaviours, scale=None))
    lists = shops.model_of(blind).lists(blind.everyone.take(users), Rules(20), excluded)
    judged.values["blind"] = accuracy(lists, relevant, 10)["ndcg"]
    for rival in ("popular_7_days", "blind"):
        assert judged.gain(rival).low > 0.02, judged.gain(rival)
    genre, liked = np.arange(len(shop.catalogue)) % 2, users[:, None] % 2
    assert (genre[judged.lists["model"][:, :10]] == liked).mean() > 0.9
    assert (genre[lists[:, :10]] == liked).mean() < 0.7


def test_users_who_only_view_get_a_list_of_their_own(spark: SparkSession) -> None:
    judged = trained_and_judged(shops.viewers(), factors=factors_of(spark))
    only_view = judged.known.targets.lengths == 0
    assert only_view.sum() > 100
    beats_all(judged, only_view)
    lists = judged.lists["model"][only_view]
    assert len(np.unique(lists[:, :5], axis=0)) > len(lists) / 2


@pytest.fixture(scope="module")
def turned_over(spark: SparkSession) -> tuple[Case, Judged]:
    shop = shops.turnover()
    return shop, trained_and_judged(shop, factors=factors_of(spark))


def test_a_catalogue_that_turns_over_in_weeks(turned_over: tuple[Case, Judged]) -> None:
    shop, judged = turned_over
    beats_all(judged)
    assert shop.catalogue.available[judged.lists["model"]].all()


def test_items_that_nobody_had_yet_are_recommended_by_their_text(turned_over: tuple[Case, Judged]) -> None:
    shop, judged = turned_over
    had = np.bincount(shop.data.histories.items, minlength=len(shop.catalogue)) > 0
    unseen = judged.only(lambda _known, relevant: ~had[relevant.items])
    candidates = np.flatnonzero(shop.catalogue.available & ~had)
    # the same places, but any of the new items instead of the ones whose text fits
    anything = judged.lists["model"].copy()
    is_unseen = ~had[anything]
    anything[is_unseen] = np.random.default_rng(0).choice(candidates, is_unseen.sum())
    by_chance = replace(unseen, lists={"chance": anything, "model": judged.lists["model"]}).only(
        lambda _known, relevant: np.ones(len(relevant.items), dtype=np.bool_)
    )
    assert np.nanmean(unseen.values["model"]) > 2 * np.nanmean(by_chance.values["chance"])
    assert unseen.gain("popular_7_days").low > 0


def test_what_the_rules_exclude_is_neither_shown_nor_counted_as_a_hit() -> None:
    judged = trained_and_judged(shops.no_repeats())
    size = 1 + int(max(judged.known.past.items.max(), judged.lists["model"].max()))
    seen = judged.known.past.users * size + judged.known.past.items
    for lists in judged.lists.values():
        user, place = np.nonzero(lists >= 0)
        assert not np.isin(user * size + lists[user, place], seen).any()
    assert not np.isin(row_of_each(judged.relevant.indptr) * size + judged.relevant.items, seen).any()


def test_a_share_of_the_list_explores_with_the_best_of_what_is_new() -> None:
    shop = shops.grocer()
    plain = trained_and_judged(shop, rules=Rules(10))
    exploring = trained_and_judged(shop, rules=Rules(10, explore=2))

    def new_to_user(judged: Judged) -> Flags:
        size = len(shop.catalogue)
        keys = np.arange(len(judged.lists["model"]))[:, None] * size + judged.lists["model"]
        is_new: Flags = ~np.isin(keys, judged.known.past.users * size + judged.known.past.items)
        return is_new

    assert (new_to_user(plain).sum(axis=1) < 2).mean() > 0.5
    assert (new_to_user(exploring).sum(axis=1) >= 2).all()
    # the places that are left are those of the best repeats, in their order
    for before, after, is_new in zip(
        plain.lists["model"], exploring.lists["model"], new_to_user(exploring), strict=True
    ):
        kept = after[~is_new]
        assert kept.tolist() == [item for item in before.tolist() if item in set(kept.tolist())]


def shop_of(*rows: tuple[int, int, float, int], items: int = 4, horizon: int = 7 * DAY) -> Case:
    """A shop with (user, item, days before the end, behaviour) events."""
    draw = shops.Draw(0)
    for user, item, days, behaviour in rows:
        draw.add(user, item, END - days * DAY, behaviour)
    kinds = np.arange(items, dtype=np.int32)
    return shops.shop(shops.catalogue_of(kinds, 0), draw.histories(1 + max(row[0] for row in rows)), horizon)


ODD = {
    "one user": shop_of(*((0, n % 3, 60 - n, PURCHASE) for n in range(60))),
    "one item": shop_of(*((n % 9, 0, 60 - n, PURCHASE) for n in range(60)), items=1),
    "everything in one second of each week": shop_of(*((n % 9, n % 4, 7 * (n % 8) + 1, PURCHASE) for n in range(200))),
    "only views before the last weeks": shop_of(
        *((n % 9, n % 4, 60 - n / 2, VIEW) for n in range(80)), *((n % 9, n % 4, n % 20, PURCHASE) for n in range(40))
    ),
    "no text": replace(
        shop := shop_of(*((n % 9, n % 4, 60 - n / 4, PURCHASE) for n in range(230))),
        catalogue=replace(shop.catalogue, texts=np.array([""] * 4, dtype=object)),
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_shop_gets_lists(kind: str) -> None:
    judged = trained_and_judged(ODD[kind])
    assert len(judged.lists["model"])
    assert (judged.lists["model"][:, 0] >= 0).all()


HOPELESS = {
    "nothing but carts": shop_of(*((n % 9, n % 4, 60 - n / 2, CART) for n in range(100))),
    "nothing before the windows": shop_of(*((n % 9, n % 4, n % 7, PURCHASE) for n in range(30))),
    "nothing of the catalogue": shop_of((0, -1, 30, PURCHASE)),
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_a_shop_without_anything_to_learn_from_is_told_so(kind: str) -> None:
    with pytest.raises(InputError, match=r"Ingest more days"):
        trained_and_judged(HOPELESS[kind])


def test_relevant_items_of_the_shops_are_there() -> None:
    """Generators that leave nothing to judge would make every comparison above empty."""
    for kind in (shops.no_repeats, shops.turnover, shops.two_weeks):
        shop = kind()
        future = shop.histories.between(shop.now, END)
        assert (Relevant.from_histories(future.select(future.behaviours == PURCHASE)).counts > 0).sum() > 100
