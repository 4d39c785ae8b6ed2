"""Of a large shop the same users are trained on from week to week, and what is left out is said."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.behaviours import Behaviours
from models.encoder_training import Judge
from models.fine_tune import sampled
from models.fit import TrainingData
from models.metrics import Relevant
from models.user_sample import user_sample
from tests.factories import past_of, shop_catalogue


@given(st.lists(st.text(), unique=True), st.integers(1, 30))
def test_a_sample_holds_so_many_in_order_whatever_the_order_of_the_users(users: list[str], at_most: int) -> None:
    chosen = user_sample(users, at_most)
    assert len(chosen) == min(len(users), at_most)
    assert (np.diff(chosen) > 0).all()
    backwards = users[::-1]
    assert {users[n] for n in chosen} == {backwards[n] for n in user_sample(backwards, at_most)}


def test_it_stays_when_users_come(caplog: pytest.LogCaptureFixture) -> None:
    before, now = ([f"u{number}" for number in range(count)] for count in (1000, 1100))
    with caplog.at_level(logging.INFO, "nightshift"):
        was, are = ({users[n] for n in user_sample(users, 200)} for users in (before, now))
    assert "Training on 200 of 1,000 users: the others are left out ([training] users)." in caplog.text
    assert len(was & are) > 160
    assert was - are  # some made room
    caplog.clear()
    user_sample(before, 1000)
    assert not caplog.text


def test_events_and_ids_of_the_sample_belong_together() -> None:
    users = [f"u{number}" for number in range(40)]
    past = past_of(*((user, user % 12, 1.0) for user in range(40)), users=40)
    data = TrainingData(
        shop_catalogue(),
        users,
        past,
        Judge(past, Relevant.from_histories(past)),
        Behaviours(("a",), (1.0,), (0,)),
        0,
        1,
    )
    part = sampled(data, 10)
    assert len(part.user_ids) == len(part.histories) == 10
    assert part.histories.items.tolist() == [int(user[1:]) % 12 for user in part.user_ids]
    assert sampled(data, 40).user_ids == users
