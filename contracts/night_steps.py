"""What each step of a night took and counted. A step returns its counts; how long it took is known when it ends."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from contracts import lake
from contracts.settings import Settings
from contracts.tables import NIGHT_STEPS

log = logging.getLogger("nightshift")

Counts = Mapping[str, int]
"""What a step did, by what is counted, in words that people read: ``{"users scored": 2468}``."""

COMPARED, EXACT_MATCHES, FOUND_MATCHES = "users searched both ways", "matches of exact search", "of these found"
"""Counts of `score_users` with approximate search: of some of its users, what exact and approximate search found."""


def keep(settings: Settings, ds: date, counts: Counts) -> None:
    """Writes the row of the step that this program is; of an earlier run of the step there is none any more.

    A night is not lost for it: what goes wrong is logged.
    """
    step, seconds = Path(sys.argv[0]).stem, seconds_since_start()
    row = (ds, step, seconds, dict(counts), datetime.now(UTC))
    try:
        lake.replace_small(settings, NIGHT_STEPS, [row], f"ds = '{ds}' and step = '{step}'")
    except Exception as error:
        log.warning("What %s took could not be written to %s: %s", step, lake.path(settings, NIGHT_STEPS), error)


def seconds_since_start() -> float:
    """Seconds since this program was started; of a job that spark-submit started since its Java was."""
    import psutil

    own = psutil.Process()
    parent = own.parent()
    submitted = parent is not None and parent.name() == "java"
    started: float = parent.create_time() if parent is not None and submitted else own.create_time()
    return time.time() - started
