"""Which users of a night are searched for both ways."""

from __future__ import annotations

import pyarrow as pa
import pytest

from spark_jobs.scoring.search import Comparison


def test_users_are_drawn_by_their_ids_in_about_the_share_that_is_wanted() -> None:
    users = pa.chunked_array([[f"user-{number}" for number in range(20_000)]])
    taken = Comparison(0.05).takes(users)
    assert taken.sum() == pytest.approx(1_000, rel=0.1)
    assert (Comparison(0.05).takes(users.slice(7_000)) == taken[7_000:]).all()
    assert Comparison(1.0).takes(users).all()
    assert not Comparison(0.0).takes(users).any()
