"""A study from what was asked for to what came of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import torch
from optuna.distributions import BaseDistribution, distribution_to_json

from contracts.cli import log, start_log
from contracts.files import write_atomically
from contracts.settings import Settings, Training, load_settings
from models.evaluation import ALL, GATE
from models.identity import made_from
from models.item_tower import base_model_folder
from models.metrics import Doubles
from models.store import registry
from models.training import Report
from nightshift.bench_model import protocols
from nightshift.bench_model.contest import MODEL, encoder_alone, for_sequences, variant
from nightshift.bench_model.protocols import Case
from nightshift.bench_model.results import values_of
from nightshift.tuning.found import Found, found
from nightshift.tuning.page import page
from nightshift.tuning.space import Group, Stage, space_of
from nightshift.tuning.study import Plan, opened, search


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    sequences: Path | None
    texts: Path | None
    until: date | None
    stage: Stage
    only: tuple[Group, ...]
    trials: int
    minutes: float | None
    html: Path | None


def run(wanted: Wanted) -> tuple[Found, Path]:
    """Goes on with the study of this data and space, and gives what came of it and the file of the best settings.

    Raises:
        InputError: the data cannot be read or gives nobody to judge, or another process is at the study.
        SettingsError: what is to be varied changes nothing.
        RegistryError: MLflow could not be reached.
    """
    start_log()
    settings = load_settings()
    torch.set_num_threads(os.cpu_count() or 1)
    if wanted.sequences:
        settings = for_sequences(settings)
    space = space_of(settings.training, wanted.only, wanted.stage)
    about, case = _case(wanted, settings)
    name = f"{about}-{_digest(settings, case, space, wanted.stage)}"
    folder = settings.home / "tuning" / name
    plan = Plan(name, folder, settings.training, space, wanted.stage, wanted.trials, wanted.minutes)
    users, _, _ = case.judged
    log.info("Study %s: %s, %s users judged, %d settings", name, case.name, f"{len(users):,}", len(space))

    def objective(training: Training, report: Report) -> Doubles:
        if wanted.stage == "encoder":
            entry = encoder_alone(case, training, report)
        else:
            entry = next(variant(case.data, case, training, MODEL, report=report))
        return values_of(case, entry)[ALL, GATE]

    with opened(plan) as study:
        search(study, plan, objective, registry.client(settings))
        made = found(study, plan, case.name)
        best = folder / "best.toml"
        write_atomically(best, made.lines())
    if wanted.html:
        wanted.html.write_text(page(made))
    return made, best


def _case(wanted: Wanted, settings: Settings) -> tuple[str, Case]:
    """A word for the data, and the split whose test is the validation window: the test window itself is not in it."""
    if wanted.sequences and wanted.texts:
        case = protocols.validation_of(protocols.leave_one_out_of(wanted.sequences, wanted.texts, settings))
        return re.sub(r"\W+", "-", wanted.sequences.name.partition(".")[0]), case
    until, days = protocols.last_window(settings, wanted.until)
    shop = protocols.read_shop(settings, until, days)
    return str(until), next(protocols.next_days(shop, until - timedelta(days=days), 1))


def _digest(settings: Settings, case: Case, space: dict[str, BaseDistribution], stage: Stage) -> str:
    """A hash of all that decides what a trial's settings are worth, and of what is varied."""
    judge = case.data.judge
    base = base_model_folder(settings.training.tower.base_model)
    parts = [
        made_from(settings, case.catalogue, case.histories, (judge.histories, judge.relevant), base),
        {name: distribution_to_json(values) for name, values in space.items()},
        stage,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
