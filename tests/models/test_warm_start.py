"""A training that goes on from an earlier model: what it takes over, what it learns, and when it is from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contracts.settings import Ranker, Tower, Training, WarmStart
from models.catalogue import Catalogue
from models.encoder_training import grown, new_and_replayed
from models.fit import Fitted, fit
from models.histories import DAY, Histories
from models.newest import BeforeNewest
from models.user_encoder import UserEncoder, vectors_of_items
from models.warm import WarmItems
from models.warm_start import Beginning
from nightshift.bench_model.protocols import Case
from tests.factories import NOW, PURCHASES, SHOP_ITEMS, TINY, past_of, shop_catalogue, shop_histories

WEEK = 7 * DAY
SETTINGS = Training(
    tower=Tower(tuning="frozen", max_tokens=8),
    # one epoch: nothing is chosen by the validation window
    encoder=TINY.encoder.model_copy(update={"epochs": 1, "min_steps": 0, "batch": 8}),
    cooccurrence=TINY.cooccurrence,
    candidates=TINY.candidates,
    ranker=Ranker(windows=2, networks=1, hidden=8, epochs=1, min_steps=1),
    warm_start=WarmStart(passes=1, replay=0.5),
)


def catalogue_with(ids: Sequence[str]) -> Catalogue:
    """Items of these ids, whose texts are their ids."""
    same = np.zeros((4, len(ids)), dtype=np.int32)
    texts = np.array(ids, dtype=object)
    return Catalogue(pd.Index(ids), texts, same, ((None,),) * 4, np.ones(len(ids), dtype=np.bool_))


@given(
    counts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12),
    context=st.integers(1, 6),
    replay=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_what_is_new_is_learnt_in_its_context_and_a_sample_of_users_from_their_beginning(
    counts: list[tuple[int, int]], context: int, replay: float, seed: int
) -> None:
    since = NOW - 10 * DAY
    events = [
        (user, 0, 10 - day if is_new else 11 + day)
        for user, numbers in enumerate(counts)
        for is_new, number in enumerate(numbers)
        for day in range(number)
    ]
    histories = past_of(*events, users=len(counts))
    learnt = new_and_replayed(histories, since, context, replay, seed)
    there = np.array([old + new for old, new in counts])
    least = np.array([min(old + new, max(new, context)) if new else 0 for old, new in counts])
    whole = learnt.lengths == there
    assert ((learnt.lengths == least) | whole).all()
    users = np.count_nonzero(there)
    # those beyond what is new can only come from the sample, of which no user is missing
    assert np.count_nonzero(learnt.lengths > least) <= round(replay * users) <= np.count_nonzero(whole & (there > 0))
    for user in range(len(counts)):
        newest = histories.take([user]).last(int(learnt.lengths[user])) if learnt.lengths[user] else None
        assert newest is None or np.array_equal(learnt.take([user]).times, newest.times)
    again = new_and_replayed(histories, since, context, replay, seed)
    assert np.array_equal(again.times, learnt.times)


def test_each_week_replays_other_users() -> None:
    histories = past_of(*((user, 0, 30.0) for user in range(40)), users=40)
    samples = [new_and_replayed(histories, NOW - days * DAY, 5, 0.25, 7) for days in (7, 14, 7)]
    assert [len(each.items) for each in samples] == [10, 10, 10]
    assert not np.array_equal(samples[0].lengths, samples[1].lengths)
    assert np.array_equal(samples[0].lengths, samples[2].lengths)


def test_ids_are_found_by_their_items_and_new_ones_begin_by_their_texts() -> None:
    old, new = catalogue_with(["a", "b", "c", "d", "e"]), catalogue_with(["b", "bb", "e", "f", "d", "a"])
    histories = past_of(*((0, item, 5.0) for item in (0, 1, 2, 4)), users=1)
    torch.manual_seed(0)
    encoder = UserEncoder(8, 4, 1, TINY.encoder)
    warm = WarmItems.of(histories, old, 1)
    before = BeforeNewest.of(encoder, warm, 3, 1, NOW).on(list(old.item_ids), new)
    # c is not sold any more, d never had an id; b, e and a lie elsewhere
    assert before.warm.tolist() == [0, 2, 5]
    now = WarmItems.of(past_of((0, 1, 1.0), (0, 4, 1.0), users=1), new, 1, before.warm)
    grown_encoder = UserEncoder(8, len(now.items), 1, TINY.encoder)
    grown_encoder.load_state_dict(grown(before.weights, before.warm, now.items))
    texts = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    made = vectors_of_items(grown_encoder, texts, now.id_rows)
    # the same text, so that only the id tells; rows of a, b, e in the old catalogue
    known = vectors_of_items(encoder, texts[[5, 0, 2]], warm.id_rows[[0, 1, 4]])
    np.testing.assert_array_equal(made[[5, 0, 2]], known)
    cold = vectors_of_items(encoder, texts, np.zeros(6, np.int32))
    np.testing.assert_array_equal(made[[1, 3, 4]], cold[[1, 3, 4]])
    assert (made[[5, 0, 2]] != cold[[5, 0, 2]]).any(axis=1).all()


def test_a_model_of_two_runs_keeps_where_it_stopped(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    warm = WarmItems.of(past_of((0, 1, 5.0), users=1), shop_catalogue(), 1)
    BeforeNewest.of(UserEncoder(8, 1, 1, TINY.encoder), warm, 3, 2, NOW).save(folder)
    read = BeforeNewest.load(folder)
    assert (read.warm.tolist(), read.passes, read.at_least, read.until) == ([1], 3, 2, NOW)


@dataclass(frozen=True)
class Weeks:
    """A model from scratch, what the next week's goes on from, that one, and its losses before the newest events."""

    first: Fitted
    beginning: Beginning
    second: Fitted
    losses: list[float]
    validated: list[int]  # passes after which it was


def later_catalogue() -> Catalogue:
    """That of the tiny shop and one more item, before all others."""
    before = shop_catalogue()
    return Catalogue(
        pd.Index(["a new one", *before.item_ids]),
        np.array(["fresh milk", *before.texts], dtype=object),
        np.concatenate([before.codes[:, :1], before.codes], axis=1),
        before.names,
        np.ones(SHOP_ITEMS + 1, dtype=np.bool_),
    )


def two_weeks(histories: Histories) -> Weeks:
    """As of NOW and a week before; ``histories`` are of the tiny shop's items."""
    told: list[tuple[str, int, float]] = []

    def report(name: str, step: int, value: float) -> None:
        told.append((name, step, value))

    catalogue, later = shop_catalogue(), later_catalogue()
    users = [f"u{number}" for number in range(len(histories))]
    week_before = Case("before", catalogue, users, histories, PURCHASES, NOW - WEEK, WEEK, {})
    moved = replace(histories, items=histories.items + 1)
    week = replace(week_before, name="now", catalogue=later, histories=moved, now=NOW)
    first = fit(week_before.data, SETTINGS, lambda *_: None)
    beginning = first.to_go_on_from(catalogue, SETTINGS, None)
    assert beginning.misfit(SETTINGS, first.behaviours, week.data.first_window(SETTINGS)) is None
    second = fit(week.data, SETTINGS, report, beginning)
    # after the last validation it learns the newest events too
    until = max(number for number, (name, _, _) in enumerate(told) if name == "encoder_validation")
    losses = [value for name, _, value in told[:until] if name == "encoder_loss"]
    validated = [step for name, step, _ in told if name == "encoder_validation"]
    return Weeks(first, beginning, second, losses, validated)


@pytest.fixture(scope="module")
def weeks() -> Weeks:
    """Of the tiny shop as it is."""
    return two_weeks(shop_histories(40))


FIRST_WINDOW = NOW - 2 * WEEK
"""Where the windows of the second week's ranker begin."""


def test_a_training_that_goes_on_knows_nothing_of_the_windows_of_its_ranker(weeks: Weeks) -> None:
    histories = shop_histories(40)
    inside = histories.times >= FIRST_WINDOW
    other = two_weeks(replace(histories, items=np.where(inside, SHOP_ITEMS - 1 - histories.items, histories.items)))
    # the first model's nights had learnt of these windows; what the second one goes on from had not
    ids = [each.first.encoder.id_embedding.weight for each in (weeks, other)]
    assert not torch.equal(*ids)
    assert len(weeks.losses) > 2
    assert weeks.losses == other.losses


def test_a_training_that_goes_on_keeps_the_tower_and_grows_with_the_catalogue(weeks: Weeks) -> None:
    first, second = weeks.first, weeks.second
    assert (first.before.until, second.before.until) == (FIRST_WINDOW - WEEK, FIRST_WINDOW)
    assert second.before.passes == first.before.passes
    assert second.tower is first.tower
    assert weeks.validated == [0, 1] == [0, SETTINGS.warm_start.passes]
    known = list(shop_catalogue().texts)
    np.testing.assert_array_equal(second.texts.tuned(known), first.texts.tuned(known))
    assert not (second.texts.tuned(["fresh milk"]) == second.texts.tuned(known)).all(axis=1).any()
    assert len(second.items.id_rows) == len(first.items.id_rows) + 1
    again = second.to_go_on_from(later_catalogue(), SETTINGS, weeks.beginning)
    assert (weeks.beginning.in_a_row, again.in_a_row) == (0, 1)


def wider(settings: Training) -> Training:
    """With other shapes."""
    return settings.model_copy(update={"encoder": settings.encoder.model_copy(update={"vector_size": 16})})


def test_what_does_not_fit_is_told(weeks: Weeks) -> None:
    beginning, behaviours = weeks.beginning, weeks.first.behaviours
    tuned = SETTINGS.model_copy(update={"tower": Tower(tuning="lora", max_tokens=8)})
    faster = SETTINGS.model_copy(update={"ranker": Ranker(epochs=2)})
    once_more = replace(beginning, in_a_row=SETTINGS.warm_start.in_a_row)
    assert beginning.misfit(faster, behaviours, FIRST_WINDOW) is None
    whys = [
        beginning.misfit(wider(SETTINGS), behaviours, FIRST_WINDOW),
        beginning.misfit(tuned, behaviours, FIRST_WINDOW),
        beginning.misfit(SETTINGS, replace(behaviours, names=("sale",)), FIRST_WINDOW),
        beginning.misfit(SETTINGS, behaviours, beginning.before.until - 1),
        once_more.misfit(SETTINGS, behaviours, FIRST_WINDOW),
    ]
    assert whys == [
        "training.encoder was another one",
        "training.tower was another one",
        "the shop's behaviours, or what they weigh, were others",
        "it has learnt of days that the new ranker is fitted on",
        "3 trainings in a row have gone on from the one before (training.warm_start.in_a_row)",
    ]
