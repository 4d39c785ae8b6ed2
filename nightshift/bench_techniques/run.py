"""All techniques from what was asked for to a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from contracts.cli import log, start_log
from contracts.files import write_atomically, write_if_changed
from contracts.settings import Settings, load_settings
from nightshift.bench_model import protocols
from nightshift.bench_model.contest import for_sequences
from nightshift.bench_model.protocols import Case
from nightshift.bench_techniques.measure import Bench, Measured, beginning
from nightshift.bench_techniques.page import page
from nightshift.bench_techniques.results import Refused, Result, compared, documented
from nightshift.bench_techniques.variants import DEFAULT, FROZEN, VARIANTS, Variant


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    sequences: Path | None
    texts: Path | None
    until: date | None
    only: tuple[str, ...]
    as_json: Path | None
    html: Path | None
    docs: Path | None
    measure: bool = True  # else only what was measured before is told

    @property
    def column(self) -> str:
        """Heading of the column of the docs that has the figures: of the lake's shop, or of files by their name."""
        return f"validation: {self.sequences.name.split('.')[0] if self.sequences else 'shop'}"

    @property
    def variants(self) -> list[Variant]:
        """Those that are wanted, in the order of the docs; what they are compared with always."""
        compared_with = (DEFAULT, FROZEN)
        return [
            each
            for each in VARIANTS
            if not self.only or each in compared_with or any(word in each.name for word in self.only)
        ]


@dataclass(frozen=True)
class Outcome:
    """A whole benchmark."""

    split: str
    users: int
    results: list[Result | Refused]


def run(wanted: Wanted) -> Outcome:
    """Measures what was not measured yet, and compares.

    Raises:
        InputError: the data cannot be read or gives nobody to judge, or there is nothing to compare with.
    """
    start_log()
    settings = load_settings()
    case = validation(wanted, settings)
    if wanted.sequences:
        settings = for_sequences(settings)
    users, _, _ = case.judged
    log.info("%s: %s users judged, %s items", case.name, f"{len(users):,}", f"{len(case.catalogue):,}")
    bench, variants = Bench.of(case, settings), wanted.variants
    if not wanted.measure:
        variants = [each for each in variants if bench.kept(each.of(settings.training.tower)).exists()]
    made = measurements(bench, variants)
    outcome = Outcome(case.name, len(users), compared(made))
    if wanted.as_json:
        write_atomically(wanted.as_json, json.dumps(asdict(outcome), indent=1) + "\n")
    if wanted.html:
        write_atomically(wanted.html, page(outcome.split, outcome.users, outcome.results))
    if wanted.docs:
        write_if_changed(wanted.docs, documented(wanted.docs.read_text(), wanted.column, outcome.results))
    return outcome


def validation(wanted: Wanted, settings: Settings) -> Case:
    """The validation window as a case: the window before the one that tests, which nobody looks at here."""
    if wanted.sequences and wanted.texts:
        return protocols.validation_of(protocols.leave_one_out_of(wanted.sequences, wanted.texts, settings))
    until, days = protocols.last_window(settings, wanted.until, back=1)
    shop = protocols.read_shop(settings, until + timedelta(days=days), days)
    return next(protocols.next_days(shop, until, 1))


def measurements(bench: Bench, variants: list[Variant]) -> Mapping[Variant, Measured]:
    """What each variant gave, in their order; those that begin alike are measured one after the other."""
    default = bench.settings.training.tower
    towers = {each: each.of(default) for each in variants}
    begin = [beginning(tower) for tower in towers.values()]
    in_order = sorted(towers, key=lambda each: begin.index(beginning(towers[each])))
    made = {}
    for number, variant in enumerate(in_order, 1):
        log.info("%d of %d: %s", number, len(variants), variant.name)
        made[variant] = bench.measured(towers[variant])
    return {each: made[each] for each in variants}
