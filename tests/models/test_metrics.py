"""Metrics against literal lists and a brute-force reference."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional import retrieval

from models import metrics
from models.histories import Histories
from models.metrics import Relevant

RANKED = np.array([[3, 1, 2], [5, 5, 0], [4, -1, -1], [0, 1, 2]], dtype=np.int32)
# Users take items 1 and 9; 5; 0; nothing.
RELEVANT = Relevant(np.array([0, 2, 3, 4, 4]), np.array([1, 9, 5, 0], dtype=np.int32))


def test_hits_count_a_repeated_item_once_and_padding_never() -> None:
    assert metrics.hits(RANKED, RELEVANT).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
        [False, False, False],
    ]


def test_accuracy_of_literal_lists() -> None:
    values = metrics.accuracy(RANKED, RELEVANT, 3)
    first = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    np.testing.assert_allclose(values["ndcg"], [first, 1, 0, np.nan])
    np.testing.assert_allclose(values["recall"], [0.5, 1, 0, np.nan])
    np.testing.assert_allclose(values["mrr"], [0.5, 1, 0, np.nan])
    np.testing.assert_allclose(values["hit_rate"], [1, 1, 0, np.nan])


def test_only_the_first_n_count() -> None:
    assert metrics.accuracy(RANKED, RELEVANT, 1)["recall"][0] == 0


def test_relevant_items_are_distinct_and_in_the_catalogue() -> None:
    user = np.array([2, 0, 0, 2, 0], dtype=np.int32)
    item = np.array([4, 7, 7, -1, 1], dtype=np.int32)
    future = Histories.from_events(3, user, item, np.zeros(5, np.int32), np.array([5, 1, 2, 3, 4]))
    relevant = Relevant.from_histories(future)
    assert relevant.indptr.tolist() == [0, 2, 2, 3]
    assert relevant.items.tolist() == [1, 7, 4]


def test_coverage_novelty_and_diversity() -> None:
    assert metrics.coverage(RANKED, 10) == pytest.approx(6 / 10)
    purchases = np.array([3, 0, 0, 0, 0, 1])
    novelty = metrics.novelty(np.array([[0, 1], [-1, -1], [5, -1]], dtype=np.int32), purchases)
    np.testing.assert_allclose(novelty, [(math.log2(10 / 4) + math.log2(10)) / 2, np.nan, math.log2(10 / 2)])
    categories = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    np.testing.assert_allclose(metrics.diversity(RANKED, categories), [2 / 3, 2 / 3, np.nan, 2 / 3])


def test_estimate_ignores_users_without_relevant_items() -> None:
    values = metrics.estimate(np.array([0.0, 1.0, np.nan]))
    half = metrics.Z95 * math.sqrt(0.5) / math.sqrt(2)
    assert (values.mean, values.users) == (0.5, 2)
    assert values.high - values.mean == pytest.approx(half) == pytest.approx(values.mean - values.low)
    assert metrics.estimate(np.array([np.nan])).users == 0


def test_paired_difference_is_narrower_than_two_estimates() -> None:
    base = np.array([0.1, 0.9, 0.5])
    gain = metrics.paired_difference(base + 0.01, base)
    assert gain.mean == pytest.approx(0.01)
    assert gain.low == pytest.approx(0.01)


def slow_ndcg(ranked: list[int], wanted: set[int]) -> float:
    gained, seen = 0.0, set()
    for rank, item in enumerate(ranked, 1):
        if item >= 0 and item in wanted and item not in seen:
            gained += 1 / math.log2(rank + 1)
        seen.add(item)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(ranked), len(wanted)) + 1))
    return gained / ideal if wanted else math.nan


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(-1, 6), min_size=4, max_size=4), st.sets(st.integers(0, 6))),
        min_size=1,
        max_size=5,
    )
)
def test_ndcg_equals_the_brute_force(users: list[tuple[list[int], set[int]]]) -> None:
    ranked = np.array([shown for shown, _ in users], dtype=np.int32)
    counts = [len(wanted) for _, wanted in users]
    items = [item for _, wanted in users for item in sorted(wanted)]
    relevant = Relevant(np.concatenate([[0], np.cumsum(counts)]), np.array(items, dtype=np.int32))
    values = metrics.accuracy(ranked, relevant, 4)["ndcg"]
    np.testing.assert_allclose(values, [slow_ndcg(*user) for user in users])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12))
def test_metrics_agree_with_those_of_another_library(seed: int, items: int, n: int) -> None:
    random = np.random.default_rng(seed)
    scores = 1 + random.permutation(items).astype(np.float32)[None]  # no ties, and the other library takes 0 for none
    wanted = random.random(items) < 0.3
    if not wanted.any():
        wanted[random.integers(0, items)] = True
    ranked = np.argsort(-scores, axis=1)[:, :n].astype(np.int32)
    relevant = Relevant(np.array([0, wanted.sum()]), np.flatnonzero(wanted).astype(np.int32))
    ours = metrics.accuracy(ranked, relevant, n)
    guessed, target = torch.from_numpy(scores[0]), torch.from_numpy(wanted)
    theirs = {
        "ndcg": retrieval.retrieval_normalized_dcg(guessed, target, top_k=n),
        "recall": retrieval.retrieval_recall(guessed, target, top_k=n),
        "mrr": retrieval.retrieval_reciprocal_rank(guessed, target, top_k=n),
        "hit_rate": retrieval.retrieval_hit_rate(guessed, target, top_k=n),
    }
    assert {name: float(value[0]) for name, value in ours.items()} == pytest.approx(
        {name: float(value) for name, value in theirs.items()}, abs=1e-5
    )


def test_the_bootstrap_interval_is_about_the_normal_one_and_the_same_twice() -> None:
    values = np.append(np.random.default_rng(0).normal(0.1, 0.5, 3000), np.nan)
    low, high = metrics.bootstrap(values, 1000, seed=7)
    normal = metrics.estimate(values)
    assert (low, high) == pytest.approx((normal.low, normal.high), abs=0.003)
    assert metrics.bootstrap(values, 1000, seed=7) == (low, high)
    assert metrics.bootstrap(np.array([0.5]), 1000, seed=7) == (-np.inf, np.inf)
