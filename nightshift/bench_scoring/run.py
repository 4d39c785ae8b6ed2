"""All cells from what was asked for to a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.cli import log, start_log
from contracts.files import write_atomically
from contracts.settings import load_settings
from nightshift.bench_scoring.cells import Shape, Timed, measured
from nightshift.bench_scoring.through_spark import ThroughSpark, compared
from nightshift.bench_scoring.whole_user import Cost, cost
from spark_jobs.cluster.session import session


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    shapes: tuple[tuple[int, int, int, int], ...]  # items, dimensions, k, threads
    only: tuple[str, ...]
    events: tuple[int, ...]  # of a user whose whole cost is told
    spark: bool
    as_json: Path | None


@dataclass(frozen=True)
class Outcome:
    """A whole benchmark."""

    cells: list[Timed]
    users: list[Cost]
    spark: list[ThroughSpark]


def run(wanted: Wanted) -> Outcome:
    """Measures every cell, what whole users cost, then Spark's own way against ours."""
    start_log()
    settings = load_settings()
    cells = []
    for shape in (Shape(*each) for each in wanted.shapes):
        log.info("The best %s of %s items in %s dimensions …", shape.k, f"{shape.items:,}", shape.size)
        cells += measured(shape, wanted.only)
    users = []
    for events in wanted.events:
        log.info("All that a user of %s events costs …", events)
        users.append(cost(settings, events))
    through_spark = []
    if wanted.spark:
        log.info("Spark ALS recommendForAllUsers and ours, with the table written (two minutes) …")
        with session("bench-scoring", settings) as spark:
            through_spark = compared(spark)
    outcome = Outcome(cells, users, through_spark)
    if wanted.as_json:
        write_atomically(wanted.as_json, json.dumps(asdict(outcome), indent=1) + "\n")
    return outcome
