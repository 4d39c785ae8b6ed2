"""The pair model: what it reads, what it learns from, what becomes of the lists, and that it stays out unless asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contracts.ratings import Scale
from contracts.settings import PairModel as PairSettings
from contracts.settings import Tower, Training
from models.behaviours import Behaviours, Known
from models.candidates import Candidates
from models.excluded import Excluded
from models.fit import fit
from models.histories import DAY, Floats, Histories
from models.in_memory import InMemory
from models.item_tower import ItemTower
from models.pair_model.fit import gain, parted
from models.pair_model.lists import RankedLists, raised, weight_of
from models.pair_model.network import PairModel, drawn, logit_of_a_share, loss_of, tower_settings, tuned
from models.pair_model.student import Student, distilled, read_of
from models.pair_model.texts import Teller
from models.pair_model.use import UsablePair
from models.ranker import Ranker
from models.recommend import Rules, recommend, scored
from models.user_encoder import UserEncoder
from nightshift.bench_model.protocols import Case
from tests import shops
from tests.bases import KINDS, TEXTS, base_model
from tests.factories import (
    NOW,
    PURCHASES,
    SHOP_ITEMS,
    TINY,
    known_of,
    past_of,
    shop_catalogue,
    shop_histories,
    shop_state,
)

WORDS = np.array(["rye bread", "whole milk", "ice cream", "bakery"], dtype=object)
"""Texts of items in words that the tiny base models know."""


def ranked(*lists: str, scores: tuple[float, ...] | None = None) -> RankedLists:
    """Lists of items 0, 1, …: a ``+`` was taken, a ``-`` was not; the ranker's scores fall unless they are given."""
    marks = "".join(lists)
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    items = np.concatenate([np.arange(len(each)) for each in lists]).astype(np.int32)
    labels = np.array([mark == "+" for mark in marks])
    return RankedLists(
        np.arange(len(lists)),
        np.array([f"user {number}" for number in range(len(lists))], dtype=object),
        np.zeros((len(lists), 4), dtype=np.float32),
        indptr,
        items,
        np.array(scores, dtype=np.float32) if scores else -items.astype(np.float32),
        labels,
        np.array([max(each.count("+"), 1) for each in lists]),
    )


def told(known: Known, **settings: object) -> list[str]:
    return Teller(shop_catalogue(), PairSettings.model_validate(settings)).users(known)


def test_a_user_is_told_newest_first_by_the_template() -> None:
    known = known_of(past_of((0, 3, 9), (0, 5, 2), (0, 3, 1), (0, 8, 1), (2, 1, 5)))
    # of one moment, the item with the higher number counts as the newer one
    assert told(known) == ["i08; i03; i05", "", "i01"]
    assert told(known, user_items=2) == ["i08; i03", "", "i01"]
    assert told(known, user_text="{behaviour}: {text}, {brand} brand", user_items=1) == [
        "purchase: i08, even brand", "", "purchase: i01, odd brand",
    ]  # fmt: skip


def test_what_was_rated_low_is_not_told() -> None:
    ratings = np.array([5, 1, np.nan], dtype=np.float32)
    items, times = np.array([1, 2, 3], dtype=np.int32), NOW - np.array([3, 2, 1]) * DAY
    past = Histories.from_events(1, np.zeros(3, int), items, np.zeros(3, np.int32), times, rating=ratings)
    rated = Known.of(past, Behaviours(("rating",), (1.0,), (0,), (), Scale(1, 5, 4)), NOW)
    assert told(rated) == ["i03; i01"]


@given(st.lists(st.sampled_from("+-"), min_size=2, max_size=12), st.integers(1, 5), st.integers(0, 99))
def test_negatives_come_from_the_same_list(marks: list[str], negatives: int, seed: int) -> None:
    lists = ranked("-+-", "".join(["+", "-", *marks]), "+--")
    rows = drawn(lists, 1, negatives, np.random.default_rng(seed))
    assert set(lists.owner[rows].tolist()) == {1}
    assert lists.labels[rows].tolist() == [True] + [False] * (len(rows) - 1)
    assert len(set(rows.tolist())) == len(rows) == 1 + min(negatives, 1 + marks.count("-"))


def test_losses() -> None:
    logits, labels = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    group = torch.tensor([0, 0, 1])
    assert loss_of(logits, labels, group, "squared").item() == pytest.approx((1 + 1 + 0.25) / 3)
    expected = -(torch.tensor([2.0, 1.0, 0.5]).sigmoid().log()).mean().item()
    assert loss_of(logits, labels, group, "cross_entropy").item() == pytest.approx(expected)
    assert loss_of(logits, labels, group, "listwise").item() == pytest.approx(np.log1p(np.exp(-3)) / 2)


@pytest.mark.parametrize("kind", ["cross_entropy", "squared"])
def test_a_training_begins_where_saying_the_same_of_everything_costs_least(kind: str) -> None:
    labels, group = torch.tensor([1.0, 0, 0, 0]), torch.zeros(4, dtype=torch.long)
    costs = [
        loss_of(torch.full((4,), logit_of_a_share(0.25, kind) + by), labels, group, kind).item()
        for by in (-0.1, 0, 0.1)
    ]
    assert min(costs) == costs[1]


@given(st.integers(0, 999), st.integers(1, 12), st.floats(0, 3, width=16))
def test_what_is_reordered_does_not_fall_behind_the_others(seed: int, best: int, weight: float) -> None:
    random = np.random.default_rng(seed)
    lists = ranked("-" * 12, "-" * 7, scores=tuple(random.normal(size=19)))
    first = lists.best(best)
    logits = random.normal(size=len(first.items)).astype(np.float32)
    made = first.raised(logits, weight)
    assert (made >= first.scores).all()
    for number in range(2):
        own = first.owner == number
        # by the logits alone where they weigh all there is
        order = np.argsort(-(first.scores + np.float32(weight) * logits)[own], kind="stable")
        assert (np.diff(made[own][order]) <= 1e-5).all()


def test_raised_by_what_the_logits_say_more_than_the_least() -> None:
    made = raised(np.array([0, 0, 1]), np.array([2, 1, 5], np.float32), np.array([-1, 3, 7], np.float32), 0.5)
    assert made.tolist() == [2, 3, 5]
    assert raised(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32), 1.0).tolist() == []


def test_ndcg_of_lists_counts_what_was_taken_beyond_them() -> None:
    lists = ranked("-+-", "---")
    assert lists.ndcg(lists.scores).tolist() == [pytest.approx(1 / np.log2(3)), 0]
    assert lists.ndcg(-lists.scores)[0] == pytest.approx(1 / np.log2(3))
    assert replace(lists, relevant=np.array([2, 1])).ndcg(lists.scores)[0] < 0.5


def test_logits_weigh_by_what_they_say() -> None:
    lists = ranked(*["-+--"] * 20, *["+---"] * 10)
    tells = lists.labels.astype(np.float32)
    assert weight_of(lists, tells) > 1
    assert weight_of(lists, -tells) == 0
    assert weight_of(lists, np.zeros_like(tells)) == 0
    assert weight_of(ranked("---"), np.ones(3, np.float32)) == 0
    # right in two lists of three: the more the logits differ, the less each unit of them weighs
    tells[80:] = ranked(*["-+--"] * 10).labels
    assert 0 < weight_of(lists, tells) < 3
    assert weight_of(lists, 2 * tells) == pytest.approx(weight_of(lists, tells) / 2, abs=1e-3)


def test_users_are_parted_whatever_the_window() -> None:
    lists = RankedLists.joined([ranked(*["-+"] * 300)] * 2)
    learn, choose, tell = parted(lists, 0.4, 7)
    users = [set(part.users.tolist()) for part in (learn, choose, tell)]
    assert sum(map(len, users)) == len(set.union(*users)) == 300
    assert [len(part) for part in (learn, choose, tell)] == [2 * len(each) for each in users]
    assert 40 < len(users[1]) < 80
    assert 40 < len(users[2]) < 80


def test_the_gain_is_that_of_users_of_whom_nothing_was_chosen() -> None:
    choose, tell = ranked(*["-+-------------"] * 30), ranked(*["--+------------", "---------------"] * 15)
    found = gain(lambda lists: lists.labels.astype(np.float32), choose, tell, 10)
    assert (found.best, found.users) == (10, 30)
    assert found.before == pytest.approx(0.25)
    assert found.after == pytest.approx(0.5)
    assert found.low < found.after - found.before < found.high
    none = gain(lambda lists: -lists.labels.astype(np.float32), choose, tell, 10)
    assert (none.weight, none.after, none.low) == (0, none.before, 0)


def pair_model(folder: Path, kind: str = "bert") -> PairModel:
    """With a head that says something."""
    model = PairModel(ItemTower.load(base_model(folder, kind), 30))
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight)
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_is_read_together_and_alone_as_among_others(kind: str, tmp_path: Path) -> None:
    model = pair_model(tmp_path, kind)
    users, items = [*TEXTS, *TEXTS], [*TEXTS, *TEXTS[::-1]]
    logits = model.logits(users, items, 4)
    alone = [model.logits([user], [item], 1)[0] for user, item in zip(users, items, strict=True)]
    np.testing.assert_allclose(logits, alone, atol=1e-4)
    assert logits[0] != pytest.approx(logits[5])  # the same user, another item
    assert model.logits(["rye bread"], ["dairy"], 1) != pytest.approx(model.logits(["ice cream"], ["dairy"], 1))
    assert len(model.logits([], [], 4)) == 0


def test_the_longer_text_is_cut(tmp_path: Path) -> None:
    model = pair_model(tmp_path)
    model.tower.max_tokens = 8
    (tokens,) = model.read(["rye bread " * 20], ["whole milk"]).tokens
    assert len(tokens) == 8
    (ids,) = model.tower.tokenizer(["whole milk"], add_special_tokens=False)["input_ids"]
    assert set(ids) < set(tokens)


SETTINGS = Training(
    tower=Tower(base_model="", lora_rank=4),
    pair_model=PairSettings(
        use="rerank", steps=30, tuned_layers=3, learning_rate=1e-2, max_tokens=30, batch=4, negatives=2
    ),
)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared", "listwise"])
@pytest.mark.parametrize("tuning", ["lora", "full", "frozen"])
def test_learns_what_is_taken(loss: str, tuning: str, tmp_path: Path) -> None:
    changes = {"loss": loss, "tuning": tuning}
    settings = SETTINGS.model_copy(
        update={
            "tower": SETTINGS.tower.model_copy(update={"base_model": str(base_model(tmp_path, "bert"))}),
            "pair_model": SETTINGS.pair_model.model_copy(update=changes),
        }
    )
    lists = ranked(*["--+-"] * 12)

    def says(model: PairModel) -> np.ndarray:
        return model.logits(lists.told[lists.owner].tolist(), WORDS[lists.items].tolist(), 16)

    def ndcg(model: PairModel) -> float:
        return float(lists.ndcg(says(model)).mean())

    curves: list[str] = []
    model = tuned(lists, WORDS.tolist(), settings, 0.1, ndcg, lambda name, *_: curves.append(name))
    assert ndcg(model) == 1
    assert set(curves) == {"pair_model_loss", "pair_model_validation"}
    again = tuned(lists, WORDS.tolist(), settings, 0.1, ndcg, lambda *_: None)
    np.testing.assert_array_equal(says(again), says(model))


def test_its_transformer_is_tuned_by_its_own_settings() -> None:
    own = tower_settings(SETTINGS)
    assert (own.steps, own.tuned_layers, own.max_tokens, own.lora_rank) == (30, 3, 30, 4)


def planted(users: int, items: int, seed: int) -> tuple[np.ndarray, ...]:
    """Pairs, vectors, and logits that are how like an item is to the user's last one."""
    random = np.random.default_rng(seed)
    read, texts = random.normal(size=(users, 8)), random.normal(size=(items, 4))
    owner, item = np.arange(3000) % users, random.integers(0, items, 3000)
    logits = 2 + 3 * (read[owner, :4] * texts[item]).sum(1) + texts[item, 0]
    return read.astype(np.float32), owner, item.astype(np.int32), logits.astype(np.float32), texts.astype(np.float32)


def test_a_student_learns_a_known_function_and_repeats_itself() -> None:
    read, owner, item, logits, texts = planted(60, 40, 0)
    student = distilled(read, owner, item, logits, texts, 32, 7, lambda *_: None)
    made = student.logits(read, owner, item, texts)
    assert np.corrcoef(made, logits)[0, 1] > 0.97
    assert made.mean() == pytest.approx(logits.mean(), abs=0.3)
    again = distilled(read, owner, item, logits, texts, 32, 7, lambda *_: None)
    np.testing.assert_array_equal(again.logits(read, owner, item, texts), made)


def test_a_student_reads_the_last_text_and_the_mean_of_the_newest() -> None:
    texts = np.eye(SHOP_ITEMS, dtype=np.float32)
    known = known_of(past_of((0, 3, 9), (0, 5, 2), (0, 8, 1), (2, 1, 5)))
    read = read_of(known, texts, 2)
    assert np.flatnonzero(read[0]).tolist() == [8, SHOP_ITEMS + 5, SHOP_ITEMS + 8]
    assert read[0, SHOP_ITEMS + 5] == 0.5
    assert not read[1].any()
    assert np.flatnonzero(read[2]).tolist() == [1, SHOP_ITEMS + 1]


def usable(folder: Path, use: str) -> tuple[UsablePair, Training]:
    """A pair model of the tiny shop that was never trained, and the settings that go with it."""
    own = PairSettings.model_validate({"use": use, "max_tokens": 30, "best": 10, "reranked": 10})
    settings = TINY.model_copy(update={"pair_model": own})
    if use == "rerank":
        return UsablePair(pair_model(folder), 2.0), settings
    torch.manual_seed(3)
    return UsablePair(Student(TINY.encoder.vector_size, 8).eval(), 2.0), settings


@pytest.mark.parametrize("use", ["rerank", "distilled"])
def test_the_best_are_reordered_and_nothing_else(
    use: str, tmp_path: Path, encoder: UserEncoder, ranker: Ranker
) -> None:
    pair, settings = usable(tmp_path, use)
    catalogue = replace(shop_catalogue(), texts=np.resize(WORDS, SHOP_ITEMS))
    histories = shop_histories()
    known, state, nothing = known_of(histories), shop_state(histories), Excluded.nothing(len(histories))
    reordering = pair.on(catalogue, settings)
    made, plain = scored(known, state, encoder, ranker, settings, nothing)
    _, scores = scored(known, state, encoder, ranker, settings, nothing, reordering)
    owner = made.candidates.users
    moved = scores != plain
    assert moved.any()
    assert not moved[owner == len(histories) - 1].any()  # without a history there is nothing to read
    for user in range(len(histories) - 1):
        own = owner == user
        best = set(first(plain[own]))
        assert set(first(scores[own])) == best
        assert set(np.flatnonzero(moved[own]).tolist()) <= best
    lists = [
        recommend(known, state, encoder, ranker, Rules(5), settings, nothing, each).items for each in (None, reordering)
    ]
    assert (lists[0] != lists[1]).any()
    np.testing.assert_array_equal(lists[0][-1], lists[1][-1])
    parts = [reordering(known.take(users), state, *_of_users(made.candidates, plain, users)) for users in halves(40)]
    np.testing.assert_allclose(np.concatenate(parts), scores, atol=1e-4)


def first(scores: Floats) -> list[int]:
    """The ten best."""
    best: list[int] = np.argsort(-scores, kind="stable")[:10].tolist()
    return best


def halves(users: int) -> list[np.ndarray]:
    return [np.arange(users // 2), np.arange(users // 2, users)]


def _of_users(candidates: Candidates, scores: Floats, users: np.ndarray) -> tuple[Candidates, Floats]:
    keep = np.isin(candidates.users, users)
    some = candidates.select(keep)
    return replace(some, indptr=some.indptr[users[0] : users[-1] + 2] - some.indptr[users[0]]), scores[keep]


@pytest.mark.parametrize("use", ["rerank", "distilled"])
def test_comes_back_from_its_folder(use: str, tmp_path: Path, encoder: UserEncoder, ranker: Ranker) -> None:
    pair, settings = usable(tmp_path / "base", use)
    folder = tmp_path / "model"
    folder.mkdir()
    assert UsablePair.load(folder, settings) is None
    pair.save(folder)
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".safetensors", ".json"}
    again = UsablePair.load(folder, settings)
    assert again
    assert again.weight == pair.weight
    catalogue = replace(shop_catalogue(), texts=np.resize(WORDS, SHOP_ITEMS))
    histories = shop_histories()
    arguments = known_of(histories), shop_state(histories), encoder, ranker, settings, Excluded.nothing(len(histories))
    before, after = (scored(*arguments, each.on(catalogue, settings))[1] for each in (pair, again))
    np.testing.assert_array_equal(before, after)


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Training]:
    """A shop of 150 users who take from one of two kinds of items, and settings with which it is fitted in seconds."""
    draw = shops.Draw(0, 30)
    for user in range(150):
        mine = np.flatnonzero(draw.kinds % 2 == user % 2)
        for day in draw.random.uniform(0, 40, 12):
            draw.add(user, shops.weighted(draw.random, mine, draw.popularity), shops.END - 40 * DAY + day * DAY, 0)
    catalogue = replace(shops.catalogue_of(draw.kinds, 0), texts=np.resize(np.array(TEXTS, dtype=object), 30))
    case = shops.shop(catalogue, draw.histories(150), 7 * DAY, behaviours=PURCHASES)
    settings = shops.SETTINGS.model_copy(
        update={
            "tower": Tower(tuning="frozen", base_model=str(base_model(tmp_path_factory.mktemp("base"), "bert"))),
            "encoder": shops.SETTINGS.encoder.model_copy(update={"epochs": 1, "min_steps": 5}),
            "ranker": shops.SETTINGS.ranker.model_copy(update={"windows": 2, "epochs": 1, "min_steps": 5}),
            "pair_model": PairSettings(
                steps=20, batch=2, max_tokens=30, best=20, reranked=10, distilled_pairs=200, learning_rate=1e-2
            ),
        }
    )
    return case, settings


def test_is_off_by_default_and_changes_nothing_else(small_shop: tuple[Case, Training]) -> None:
    case, settings = small_shop
    assert Training().pair_model.use == "none"
    fitted = []
    for use in ("none", "rerank", "distilled"):
        own = settings.pair_model.model_copy(update={"use": use})
        fitted.append(fit(case.data, settings.model_copy(update={"pair_model": own}), lambda *_: None))
    off, *on = fitted
    assert off.pair is None
    assert InMemory.of(off, case.catalogue, case.everyone, settings).reordering is None
    ways = []
    for each in on:
        assert each.pair
        for mine, yours in ((off.encoder, each.encoder), (off.ranker.networks, each.ranker.networks)):
            for name, weight in mine.state_dict().items():
                assert torch.equal(weight, yours.state_dict()[name])
        ways.append({name: replace(gain, milliseconds=0.0) for name, gain in each.pair.gains.ways.items()})
    assert ways[0].keys() == {"rerank"}
    assert ways[0]["rerank"].users > 0
    assert ways[1]["rerank"] == ways[0]["rerank"]  # both come from the same pair model
