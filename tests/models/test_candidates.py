"""Candidates on literal histories: distinct, of their first source, capped, labelled and sampled."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.settings import Candidates as Caps
from models.candidates import (
    COOCCURRENCE,
    INTEREST,
    MATCH,
    POPULAR,
    REPEAT,
    TEXT,
    Candidates,
    generate,
    label,
    sample,
)
from models.cooccurrence import Cooccurrences
from models.excluded import Excluded
from models.histories import DAY, Histories
from models.metrics import Relevant
from tests.factories import NOW, known_of


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, dtype=np.int32)


def test_candidates_are_distinct_and_keep_their_first_source() -> None:
    # User 0: item 5 twice, item 4 once and long ago, item 3 tomorrow. User 1: nothing.
    times = NOW - np.array([DAY, 2 * DAY, 90 * DAY, -DAY])
    past = Histories.from_events(2, ints(0, 0, 0, 0), ints(5, 5, 4, 3), ints(0, 0, 0, 0), times)
    pairs = Cooccurrences(np.array([0, 2, 2]), ints(1, 5), np.array([0.5, 0.9], dtype=np.float32), ints(5, 5))
    matched = np.array([[4, 2], [2, -1]], dtype=np.int32)
    by_text = np.array([[2, 3], [-1, -1]], dtype=np.int32)
    known, nothing = known_of(past), Excluded.nothing(2)
    made = generate(known, pairs, matched, by_text, ints(5, 0), 6, Caps(), nothing)
    assert made.indptr.tolist() == [0, 6, 9]
    assert made.items.tolist() == [0, 1, 2, 3, 4, 5, 0, 2, 5]
    assert made.sources.tolist() == [POPULAR, COOCCURRENCE, MATCH, TEXT, REPEAT, REPEAT, POPULAR, MATCH, POPULAR]
    caps = Caps(repeat=1, cooccurrence=1, match=1, text=1, popular=1)
    capped = generate(known, pairs, matched, by_text, ints(5, 0), 6, caps, nothing)
    assert capped.items.tolist() == [2, 4, 5, 2, 5]


def test_labels_and_sample_keep_every_positive_and_drop_users_without_one() -> None:
    candidates = Candidates(np.array([0, 3, 3, 5]), ints(1, 2, 7, 1, 2), np.zeros(5, dtype=np.int8))
    labels = label(candidates, Relevant(np.array([0, 2, 2, 3]), ints(2, 3, 4)), 8)
    assert labels.tolist() == [False, True, False, False, False]
    kept = sample(candidates, labels, 0.0, 0.0, 9, seed=0)
    assert (kept.candidates.items.tolist(), kept.candidates.indptr.tolist()) == ([2], [0, 1, 1, 1])
    assert (kept.labels.tolist(), kept.shares.tolist()) == ([True], [1.0])
    assert sample(candidates, labels, 0.0, 1.0, 9, seed=0).candidates.items.tolist() == [1, 2, 7]


def test_a_sample_keeps_own_items_and_others_by_their_shares_and_says_them() -> None:
    sources = np.tile(np.array([REPEAT, INTEREST, MATCH, POPULAR], dtype=np.int8), 2500)
    candidates = Candidates(np.array([0, 10_000]), np.arange(10_000, dtype=np.int32), sources)
    labels = np.arange(10_000) == 3
    kept = sample(candidates, labels, 0.1, 0.5, 10_000, seed=1)
    is_own = np.isin(kept.candidates.sources, [REPEAT, INTEREST])
    assert kept.shares[is_own].tolist() == [0.5] * is_own.sum()
    assert set(kept.shares[~is_own & ~kept.labels].tolist()) == {np.float32(0.1)}
    assert abs(is_own.sum() - 2500) < 150
    assert abs((~is_own).sum() - 501) < 80
    assert (1 / kept.shares).sum() == pytest.approx(10_000, rel=0.1)


def test_a_sample_that_would_be_too_large_has_whole_users_and_fewer() -> None:
    candidates = Candidates(
        np.arange(0, 1001, 10), np.tile(np.arange(10, dtype=np.int32), 100), np.zeros(1000, np.int8)
    )
    labels = np.tile(np.arange(10) == 4, 100)
    kept = sample(candidates, labels, 0.0, 1.0, 305, seed=2)
    assert sorted(np.diff(kept.candidates.indptr).tolist()) == [0] * 70 + [10] * 30
    assert kept.labels.sum() == 30
    drawn = np.flatnonzero(np.diff(kept.candidates.indptr))
    assert drawn.max() > 50  # not the first ones
