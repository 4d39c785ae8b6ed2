"""Compares the week that ends with a night with what the night's model was trained on. Needs no Spark.

    python -m spark_jobs.measure_drift --ds 2017-12-24 --model 2017-12-23-0a1b2c3d

Writes `drift_results`, and gives `drifted` to Airflow: whether `fine_tune_model` is to be started once the night is
published. It is when a measure lies beyond its bound (`[drift]` in the settings), the last fine-tuning is old enough,
and the night is not one of the past. People are told when it is, and when something has drifted that had not the night
before. The same tables and models give the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from contracts import lake, model_ids
from contracts.cli import Night, OneModel, give_result, log, main
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.notices import Notice, tell
from contracts.settings import Settings
from contracts.states import PUBLISHED, Row
from contracts.tables import DRIFT_RESULTS, PUBLICATIONS
from models import artifact
from models.profile import Profile
from models.store import registry
from spark_jobs.quality.drift import Measure, measures
from spark_jobs.quality.drift_text import in_words
from spark_jobs.quality.week import week


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night, and its model."""


@dataclass(frozen=True)
class Decision:
    """Whether a fine-tuning is asked for, and why or why not."""

    asked: bool
    why: str


def run(settings: Settings, arguments: Arguments) -> bool:
    """Measures, decides, writes and tells; says whether a fine-tuning is asked for.

    Raises:
        InputError: there are no events.
        ModelError: there is no such model, or its folder is damaged.
        RegistryError: no model was named, and the registry could not be asked for the champion.
    """
    folder = registry.chosen_folder(settings, arguments.model)
    artifact.verify(folder)
    found = measures(week(settings, arguments.ds), Profile.load(folder), settings.drift)
    past = [row for row in lake.rows(settings, DRIFT_RESULTS) if row[C.DS] < arguments.ds]
    decided = decide(settings, arguments.interval, folder.name, found, past)
    for each in found:
        log.info("%s %s", "DRIFTED" if each.drifted else "ok" if each.value is not None else "-", in_words(each))
    log.info("%s", decided.why)
    rows = [row_of(arguments, folder.name, each, decided) for each in found]
    lake.replace_small(settings, DRIFT_RESULTS, rows, f"ds = '{arguments.ds}'")
    if notice := notice_of(arguments.ds, found, decided, past):
        tell(settings, arguments.run_id, notice)
    give_result({"drifted": decided.asked})
    return decided.asked


def decide(settings: Settings, night: Interval, model: str, found: Sequence[Measure], past: Sequence[Row]) -> Decision:
    """Whether the night asks for a fine-tuning; ``past`` are the rows of `drift_results` of earlier nights."""
    if not any(each.drifted for each in found):
        return Decision(asked=False, why="Nothing lies beyond its bound: no fine-tuning is needed.")
    nights = [row[C.DS] for row in lake.rows(settings, PUBLICATIONS, {C.STATUS: PUBLISHED})]
    if (newest := max(nights, default=night.ds)) > night.ds:
        return Decision(asked=False, why=f"No fine-tuning: this is a night of the past, {newest} is published already.")
    if model_ids.knows_later(model, night.end):
        return Decision(asked=False, why=f"No fine-tuning: model {model} knows what came after this night.")
    if not settings.drift.retrain:
        return Decision(asked=False, why="No fine-tuning: [drift] retrain is off.")
    last, least = last_asked(settings, past), settings.drift.min_days_between
    if last and (night.end - last).days < least:
        why = f"No fine-tuning: the last one is as of {last}, and [drift] min_days_between is {least}."
        return Decision(asked=False, why=why)
    return Decision(asked=True, why=f"A fine-tuning as of {night.end} starts as soon as the night is published.")


def last_asked(settings: Settings, past: Sequence[Row]) -> date | None:
    """The newest day as of which a model was made, or drift has asked for one, whatever came of it."""
    made = [model_ids.as_of(folder.name) for folder in settings.models.glob("[!.]*")]
    asked = [row[C.DS] + timedelta(days=1) for row in past if row[C.ASKED]]
    return max([*filter(None, made), *asked], default=None)


def notice_of(night: date, found: Sequence[Measure], decided: Decision, past: Sequence[Row]) -> Notice | None:
    """What people should know: of drift that is new since the last night, or that starts a fine-tuning."""
    before = max((row[C.DS] for row in past), default=None)
    known = {row[C.MEASURE] for row in past if row[C.DS] == before and row[C.DRIFTED]}
    drifted = [each for each in found if each.drifted]
    if not drifted or (not decided.asked and {each.measure for each in drifted} <= known):
        return None
    what = f"Beyond its bound: {'; '.join(map(in_words, drifted))}. {decided.why}"
    return Notice(
        "drift",
        night,
        what,
        "If the shop has changed, nothing: the next model learns it. If not, look for what is wrong with the logs; "
        "bounds are in [drift].",
    )


def row_of(arguments: Arguments, model: str, each: Measure, decided: Decision) -> tuple[object, ...]:
    """A row of `drift_results`, in the order of its columns."""
    return (
        arguments.ds,
        arguments.run_id,
        model,
        each.measure,
        each.value,
        each.bound,
        each.drifted,
        each.name,
        each.before,
        each.now,
        each.note,
        decided.asked,
        decided.why,
    )


if __name__ == "__main__":
    main(__doc__, Arguments, run)
