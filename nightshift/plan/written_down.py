"""Rates that were measured once and written down, with the commands that measured them.

    nightshift bench-night --json night.json          10,000 users, 5,000 items, 300,000 events: the fixed seconds
    nightshift bench-night --users 30000 --items 20000 --events 600000: how the steps grow, by their own `night_steps`
    nightshift bench-scoring --only approximate       the parts of a user, and approximate search

Both nights ran beside other work on their two cores, the second one about 1.9 times as slow as the first: its figures
were divided by that, and how a step grows is known to a factor of two at best. What no run could tell apart from its
noise is an estimate, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nightshift.plan.model import Memory, Rate, Rates, SearchRate, UserRate

ORIGIN = "written down in nightshift/plan/written_down.py, from nightshift bench-night on two shared cores"

STEPS: Mapping[str, Rate] = {
    "land_events": Rate(2.6, per_day_event=2.5e-6, spark=False),
    "clean_events": Rate(59.0, per_day_event=2e-4),  # events of history, which lie in 55 days
    "validate": Rate(56.0, per_day_event=1.5e-4),
    "measure_drift": Rate(1.0, per_event=1e-6, per_item=2e-5, spark=False),
    # 18.6 s with 100,000 items, one in 100 with a new text; more than 2,000 such texts start Spark, for a minute
    "embed_items": Rate(12.0, per_item=6.6e-5, spark=False),
    # the start of the workers is fixed; of an item an estimate: packing, sending and opening its vectors
    "score_users": Rate(62.0, per_event=3e-5, per_item=2e-4),
    "publish": Rate(35.0, per_user=1.2e-3),
    "report": Rate(3.3, per_user=1e-5, spark=False),
}
"""Of each step of a night, in their order."""

USER = UserRate({"encoding": 0.14e-3, "candidates": 0.1e-3, "ranking": 0.56e-3, "choosing, rows": 0.01e-3}, 3.4e10, 128)
"""Of a user of 50 events, by the full profile, alone in a process: docs/performance.md, *A user*."""

IN_WORKERS = 1.5
"""So many times longer than alone in a process a user takes in the workers of a night, side by side on all cores: the
later tasks of the night of 10,000 users took 2.0 ms of a core for a user, whose parts took 1.34 alone."""

MEMORY: Mapping[str, Memory] = {
    "driver's Java": Memory(1.9e9),
    "driver's Python": Memory(0.9e9, per_item=8.5e3),
    "workers' Python": Memory(1.25e9, per_item=3e3, per_core=True),
}
"""At a night's highest, of 10,000 users. The driver's Python took 1.75 GB with 100,000 items; in the workers what an
item takes is an estimate: 128 numbers two or three times, its texts and names. With a master ``local`` the driver's
Java is the executors' too."""

SEARCH = SearchRate(fixed=0.08e-3, products=2.3e9, making=2.3e10, probes=64)
"""Of approximate search, by vectors and by texts together: from catalogues of 92,331, 200,000 and 1,000,000 items."""


def rates(dimensions: int, probes: int) -> Rates:
    """All of them, for vectors and texts of so many dimensions together, and so many lists looked into."""
    user = at_work(replace(USER, dimensions=dimensions))
    return Rates(STEPS, user, replace(SEARCH, probes=probes), MEMORY, {})


def at_work(user: UserRate) -> UserRate:
    """A user's rate alone in a process, as it is in the workers of a night."""
    parts = {name: each * IN_WORKERS for name, each in user.parts.items()}
    return replace(user, parts=parts, products=user.products / IN_WORKERS)
