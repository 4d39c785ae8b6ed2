"""One benchmark from what was asked for to its results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from contracts.cli import log, start_log
from contracts.errors import InputError, NightshiftError
from contracts.settings import Settings, load_settings
from models.baselines import chosen
from models.baselines.als import Als, Factors
from models.baselines.base import Baseline
from models.devices import seed_everything
from models.evaluation import ALL, GATE
from nightshift.bench_model import protocols
from nightshift.bench_model.contest import MODEL, PARTS, Absent, Entry, WeekBefore, entries, for_sequences, told
from nightshift.bench_model.page import page
from nightshift.bench_model.peers.environment import python_of_peers
from nightshift.bench_model.peers.exchange import NAMES, Peers, lists_of, title
from nightshift.bench_model.protocols import Case
from nightshift.bench_model.results import Outcome, as_json, together, values_of
from spark_jobs.cluster.session import session
from spark_jobs.scoring.als import factors_of


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    sequences: Path | None
    texts: Path | None
    weeks: int
    until: date | None
    last_basket: bool
    parts: bool
    only: tuple[str, ...]
    peers: bool
    peer_minutes: float
    as_json: Path | None
    html: Path | None

    def takes_part(self, name: str) -> bool:
        """Whether a recommender of that name is wanted."""
        return not self.only or any(word in name for word in self.only)


def run(wanted: Wanted) -> Outcome:
    """Fits and measures everyone who takes part.

    Raises:
        InputError: the data cannot be read or gives nobody to judge, or nobody takes part.
    """
    start_log()
    settings = load_settings()
    torch.set_num_threads(os.cpu_count() or 1)
    from_files = wanted.sequences is not None
    cases = list(_cases(wanted, settings))
    if from_files:
        settings = for_sequences(settings)
    parts = [name for name in PARTS if wanted.parts and wanted.takes_part(name)]
    made, absent = [], []
    week_before = WeekBefore() if len(cases) > 1 else None
    peers = _peers(wanted, settings)
    with _baselines(settings, wanted) as rivals:
        for case in cases:
            users, _, _ = case.judged
            log.info(
                "%s: %s users judged, %s items, %s events before",
                case.name, f"{len(users):,}", f"{len(case.catalogue):,}", f"{len(case.data.histories.items):,}",
            )  # fmt: skip
            seed_everything(settings.training.seed)
            ours = entries(case, settings.training, rivals, parts, week_before, with_model=wanted.takes_part(MODEL))
            for entry in chain(ours, _of_peers(case, peers)):
                if isinstance(entry, Absent):
                    absent.append(entry if len(cases) == 1 else Absent(f"{entry.name}, {case.name}", entry.why))
                    continue
                values = values_of(case, entry)
                made.append((case.name, values, entry))
                if len(cases) == 1:
                    log.info("%s: NDCG@10 %.4f", entry.name, np.nanmean(values[ALL, GATE]))
    results = together(made)
    if not results:
        raise InputError("Nobody took part: --only names none of those that there are, or all of them failed above.")
    outcome = Outcome(results, absent)
    about = {"splits": [case.name for case in cases], "items": len(cases[0].catalogue)}
    if wanted.as_json:
        wanted.as_json.write_text(json.dumps(as_json(outcome, about), indent=1) + "\n")
    if wanted.html:
        wanted.html.write_text(page(outcome, [case.name for case in cases]))
    return outcome


def _peers(wanted: Wanted, settings: Settings) -> Peers | Absent | None:
    """How the peers that are wanted are run, or why they are not; None if none is."""
    names = tuple(name for name in NAMES if wanted.peers and wanted.takes_part(title(name)))
    if not names:
        return None
    try:
        return Peers(python_of_peers(settings.home), names, 60 * wanted.peer_minutes)
    except NightshiftError as error:
        log.warning("The peers take no part: %s", error)
        return Absent("the peers", str(error))


def _of_peers(case: Case, peers: Peers | Absent | None) -> Iterator[Entry | Absent]:
    if isinstance(peers, Absent):
        yield peers
    elif peers:
        for name in peers.names:
            yield from told(title(name), lists_of(case, name, peers))


def _cases(wanted: Wanted, settings: Settings) -> Iterator[Case]:
    if wanted.sequences and wanted.texts:
        yield protocols.leave_one_out_of(wanted.sequences, wanted.texts, settings)
        return
    until, days = protocols.last_window(settings, wanted.until)
    shop = protocols.read_shop(settings, until + timedelta(days=days), days)
    if wanted.last_basket:
        yield protocols.last_basket(shop)
    else:
        yield from protocols.next_days(shop, until, wanted.weeks)


@contextmanager
def _baselines(settings: Settings, wanted: Wanted) -> Iterator[Sequence[Baseline]]:
    """The baselines that are wanted; Spark starts only if ALS is one of them."""

    def wanted_of(factors: Factors | None) -> list[Baseline]:
        return [each for each in chosen.of_a_bench(settings, factors) if wanted.takes_part(each.name)]

    if not wanted.takes_part(Als.name):
        yield wanted_of(None)
        return
    with session("bench-model", settings) as spark:
        yield wanted_of(factors_of(spark))
