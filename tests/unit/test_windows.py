"""How far ahead a model predicts, from the history that there is."""

from __future__ import annotations

import pytest

from contracts.windows import horizon_days

EVERY_DAY = range(400)


@pytest.mark.parametrize(
    ("history", "users", "days"),
    [
        (365, (5000, 9000, 9900), 7),  # a year of a large shop
        (365, (60, 110, 190), 28),  # few buy in a month
        (365, (150, 260, 400), 14),
        (100, (60, 110, 190), 7),  # few buy, and the history is too short for longer windows
        (56, (5000, 5000, 5000), 7),
        (30, (5000, 5000, 5000), 3),
        (14, (5000, 5000, 5000), 1),
        (1, (5, 5, 5), 1),
        (0, (0, 0, 0), 1),
    ],
)
def test_the_horizon_follows_the_history(history: int, users: tuple[int, int, int], days: int) -> None:
    assert horizon_days(history, dict(zip((7, 14, 28), users, strict=True)), EVERY_DAY) == days


def test_a_shop_that_sells_on_few_days_has_windows_that_hold_some() -> None:
    few = {7: 1, 14: 1, 28: 1}
    assert horizon_days(22, few, [2, 12, 20, 21]) == 7
    assert horizon_days(22, few, [0, 2, 12]) == 2
    # nothing helps where there is one day alone: the step says what is missing
    assert horizon_days(22, few, [3]) == 2
