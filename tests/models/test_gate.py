"""The decision on literal gains: who becomes the champion, and what is said."""

from __future__ import annotations

import math

from contracts.settings import Gate
from models.evaluation import ALL
from models.gate import Decision, decide
from models.metrics import Estimate

POPULAR, REPEATS = "baseline/popular_7_days", "baseline/own_repeats_90_days"
SAME = {"coverage@10": 0.1, "diversity@10": 0.8}
BOUNDS = Gate(max_loss=0.01, guarded={"items: tail": 0.005}, max_coverage_loss=0.5, max_diversity_loss=0.2)


def gain(mean: float, half: float = 0.005, users: int = 1000) -> Estimate:
    return Estimate(mean, mean - half, mean + half, users)


def over(popular: Estimate, repeats: Estimate, champion: dict[str, Estimate] | None = None) -> Decision:
    gains = {POPULAR: {ALL: popular}, REPEATS: {ALL: repeats}} | ({"m1": champion} if champion else {})
    return decide(gains, SAME, SAME if champion else None, "m1" if champion else None, POPULAR, BOUNDS)


def test_a_challenger_that_wins_everywhere_is_promoted_and_says_over_whom() -> None:
    made = over(gain(0.1), gain(0.02), {ALL: gain(0.004), "items: tail": gain(0.001)})
    assert made.promoted
    assert [(check.rival, check.segment) for check in made.checks] == [
        (REPEATS, ALL), ("m1", ALL), ("m1", "items: tail"), ("m1", ALL), ("m1", ALL),
    ]  # fmt: skip
    assert "+0.0040 (-0.0010 … +0.0090, 1,000 users) over m1" in made.why


def test_a_loss_that_cannot_be_excluded_keeps_it_out() -> None:
    made = over(gain(0.1), gain(0.02), {ALL: gain(0.0, half=0.02)})
    assert not made.promoted
    assert made.why == "+0.0000 (-0.0200 … +0.0200, 1,000 users) over m1: a loss of 0.01 cannot be excluded"


def test_the_best_baseline_counts_as_much_as_the_champion() -> None:
    made = over(gain(0.1), gain(-0.02), {ALL: gain(0.05)})
    assert not made.promoted
    assert REPEATS in made.why


def test_what_is_a_part_of_the_challenger_is_no_baseline() -> None:
    gains = {POPULAR: {ALL: gain(0.1)}, "text_after_tuning/m2": {ALL: gain(-0.2)}, "m1": {ALL: gain(0.004)}}
    made = decide(gains, SAME, SAME, "m1", POPULAR, BOUNDS)
    assert made.promoted
    assert {check.rival for check in made.checks} == {POPULAR, "m1"}


def test_without_a_champion_it_has_to_beat_the_popular_list_and_says_what_is_better() -> None:
    made = over(gain(0.1), gain(-0.02))
    assert made.promoted
    assert made.why.startswith("there is no champion to compare with; +0.1000")
    assert f"over {REPEATS}: a loss of 0.01 cannot be excluded" in made.why
    lost = over(gain(-0.1), gain(-0.2))
    assert not lost.promoted
    assert REPEATS not in lost.why


def test_the_first_model_of_a_small_shop_passes_by_its_average_which_is_said() -> None:
    made = over(gain(0.03, half=0.05, users=30), gain(0.04, half=0.05, users=30))
    assert made.promoted
    assert "+0.0300 (-0.0200 … +0.0800, 30 users) over baseline/popular_7_days: a loss of 0.01 cannot" in made.why
    # that rival is the best baseline too, and is looked at once
    assert [check.rival for check in made.checks] == [POPULAR]
    assert not over(gain(-0.03, half=0.05), gain(0.04)).promoted
    # no better on average, but certainly no loss that matters
    assert over(gain(-0.001, half=0.002), gain(0.04)).promoted


def test_a_guarded_segment_fails_by_an_established_loss_only() -> None:
    noise = over(gain(0.1), gain(0.02), {ALL: gain(0.004), "items: tail": gain(-0.02, half=0.03)})
    assert noise.promoted
    lost = over(gain(0.1), gain(0.02), {ALL: gain(0.004), "items: tail": gain(-0.02, half=0.001)})
    assert not lost.promoted
    assert "in items: tail: a loss beyond 0.005" in lost.why


def test_lists_that_became_the_same_for_everyone_are_kept_out() -> None:
    champion = {ALL: gain(0.004)}
    gains = {POPULAR: {ALL: gain(0.1)}, "m1": champion}
    narrow = decide(gains, {"coverage@10": 0.04, "diversity@10": 0.8}, SAME, "m1", POPULAR, BOUNDS)
    assert not narrow.promoted
    assert narrow.why == "coverage@10 is 40% of that of m1, less than 50%"
    dull = decide(gains, {"coverage@10": 0.1, "diversity@10": 0.4}, SAME, "m1", POPULAR, BOUNDS)
    assert dull.why == "diversity@10 is 50% of that of m1, less than 80%"


def test_nobody_to_judge_is_no_victory() -> None:
    nan = math.nan
    nobody = Estimate(nan, nan, nan, 0)
    for made in (over(nobody, nobody, {ALL: nobody}), over(nobody, nobody)):
        assert not made.promoted
        assert "nobody could be judged against" in made.why
