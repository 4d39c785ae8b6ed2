"""Compares the week that ends with a night with what the night's model was trained on. Needs no Spark.

    python -m spark_jobs.measure_drift --ds 2017-12-24 --model 2017-12-23-0a1b2c3d

Writes `drift_results`, and gives `drifted` to Airflow: whether `fine_tune_model` is to be started once the night is
published. It is when a measure lies beyond its bound (`[drift]` in the settings) and has done so for long enough that a
model can be trained on days that have drifted: the newest `splits.window_days` are what it is tested on. Once a model,
whether it won or not, was trained on such days, that drift asks for no other one; nor do nights of the past. People are
told when a fine-tuning is asked for, and when something has drifted that had not the night before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from contracts import lake, model_ids
from contracts.cli import Night, OneModel, argument, give_result, log, main
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.notices import Notice, tell
from contracts.settings import Settings
from contracts.states import PUBLISHED, Row
from contracts.tables import DRIFT_RESULTS, PUBLICATIONS
from models import artifact
from models.profile import WEEK, Profile
from models.store import registry
from models.store.snapshot import windows_of
from spark_jobs.quality.drift import Measure, measures
from spark_jobs.quality.drift_text import in_words
from spark_jobs.quality.week import week


@dataclass(frozen=True)
class Arguments(OneModel, Night):
    """The night, and its model."""

    backfill: bool = argument("the night is one of a backfill, which trains nothing", default=False)


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
    folder = registry.chosen_folder(settings, arguments.model, arguments.interval.end)
    artifact.verify(folder)
    profile = Profile.load(folder)
    found = measures(week(settings, arguments.ds, profile), profile, settings.drift)
    past = [row for row in lake.rows(settings, DRIFT_RESULTS) if row[C.DS] < arguments.ds]
    decided = decide(settings, arguments, folder.name, found, past)
    for each in found:
        log.info("%s %s", "DRIFTED" if each.drifted else "ok" if each.value is not None else "-", in_words(each))
    log.info("%s", decided.why)
    rows = [row_of(arguments, folder.name, each, decided) for each in found]
    lake.replace_small(settings, DRIFT_RESULTS, rows, f"ds = '{arguments.ds}'")
    if notice := notice_of(arguments.ds, found, decided, past):
        tell(settings, arguments.run_id, notice)
    give_result({"drifted": decided.asked})
    return decided.asked


def decide(
    settings: Settings, arguments: Arguments, model: str, found: Sequence[Measure], past: Sequence[Row]
) -> Decision:
    """Whether the night asks for a fine-tuning; ``past`` are the rows of `drift_results` of earlier nights."""
    night, bounds = arguments.interval, settings.drift
    drifted = [each.measure for each in found if each.drifted]
    if not drifted:
        return Decision(asked=False, why="Nothing lies beyond its bound: no fine-tuning is needed.")
    if arguments.backfill:
        return no("a backfill trains nothing")
    nights = published(settings)
    if (newest := max(nights, default=night.ds)) > night.ds:
        return no(f"this is a night of the past, {newest} is published already")
    if model_ids.knows_later(model, night.end):
        return no(f"model {model} knows what came after this night")
    if not bounds.retrain:
        return no("[drift] retrain is off")
    began = [first_night(name, night.ds, past) for name in drifted]
    last = last_asked(settings, nights, night, past)
    # the newest window is what a model is tested on, not trained
    trained_until = last - timedelta(days=window_days(settings, last)) if last else date.min
    not_learnt = [day for day in began if day >= trained_until]
    if not not_learnt:
        return no(f"that as of {last} was trained on days that have drifted since {max(began)}, whether it won or not")
    if (enough := min(not_learnt) + timedelta(days=bounds.lasting_days)) > night.ds:
        return no(f"one starts if this lasts until {enough} ([drift] lasting_days)")
    if last and (night.end - last).days < bounds.min_days_between:
        return no(f"the last one is as of {last}, and [drift] min_days_between is {bounds.min_days_between}")
    return Decision(asked=True, why=f"A fine-tuning as of {night.end} starts as soon as the night is published.")


def window_days(settings: Settings, last: date) -> int:
    """Length of the window that the model as of ``last`` is tested on; a week while there is no snapshot of it."""
    try:
        return windows_of(settings, last).window_days
    except InputError:  # it was asked for, and has not begun
        return WEEK


def no(why: str) -> Decision:
    """Not now."""
    return Decision(asked=False, why=f"No fine-tuning: {why}.")


def published(settings: Settings) -> set[date]:
    """The nights that are published."""
    return {row[C.DS] for row in lake.rows(settings, PUBLICATIONS, {C.STATUS: PUBLISHED})}


def first_night(measure: str, night: date, past: Sequence[Row]) -> date:
    """Since which night a measure has drifted without a break, of the nights that measured it."""
    first = night
    for row in sorted((row for row in past if row[C.MEASURE] == measure), key=lambda row: row[C.DS], reverse=True):
        if not row[C.DRIFTED]:
            break
        first = row[C.DS]
    return first


def last_asked(settings: Settings, nights: Collection[date], night: Interval, past: Sequence[Row]) -> date | None:
    """The newest day, before the night's end, as of which a model was made, or one was started by drift.

    What the night itself has asked for does not count, so that it gives the same answer when it runs again.
    """
    made = [model_ids.as_of(folder.name) for folder in settings.models.glob("[!.]*")]
    asked = [row[C.DS] + timedelta(days=1) for row in past if row[C.ASKED] and row[C.DS] in nights]
    return max((day for day in [*filter(None, made), *asked] if day < night.end), default=None)


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
        "If the shop has changed, nothing: a model learns it as soon as it can. If not, look for what is wrong with "
        "the logs; bounds are in [drift].",
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
