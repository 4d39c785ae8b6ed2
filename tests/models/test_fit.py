"""How a history is divided between what learns of it."""

from __future__ import annotations

import numpy as np
import pytest

from models.fit import windows_that_fit
from models.histories import DAY

WINDOW = 7 * DAY


@pytest.mark.parametrize(("weeks", "windows"), [(52, 5), (10, 5), (9, 4), (4, 2), (2, 1), (1, 1)])
def test_a_short_history_leaves_the_ranker_fewer_windows(weeks: int, windows: int) -> None:
    end = 200 * WINDOW
    times = end - 1 - np.arange(weeks * 7, dtype=np.int64) * (WINDOW // 7)
    assert windows_that_fit(times, end, WINDOW, 5) == windows
