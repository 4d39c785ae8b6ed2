"""The last fine-tunings: what each gained over the model that was to be beaten, what it cost, how its nights fared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from contracts import lake, model_ids
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import GAIN_OVER, MODEL_EVALUATIONS
from models.artifact import STARTED_FROM, told_of_training
from models.cost import Cost
from models.metrics import Estimate
from spark_jobs.reporting.decisions import won
from spark_jobs.reporting.hindsight import METRICS, Hindsight, recommenders
from spark_jobs.reporting.hindsight_text import with_interval
from spark_jobs.reporting.night import NightTables

SHOWN = 5
"""Fine-tunings that are shown."""
METRIC = next(iter(METRICS))
"""The metric that decides, on the test window and in hindsight."""
UNKNOWN = "a time that is not known"


@dataclass(frozen=True)
class Tuning:
    """A fine-tuning."""

    model_id: str
    rival: str
    gain: str  # NDCG@10 on the same users, with its interval
    won: bool
    started_from: str | None  # the model that it went on from; None: from scratch
    cost: str
    hindsight: str  # of its nights: mean gain over own repeats


def tunings(settings: Settings, night: NightTables, judged: Sequence[Hindsight]) -> list[Tuning]:
    """The fine-tunings that there were when the night ended, newest first."""
    end = night.ds + timedelta(days=1)
    rows = [
        row
        for row in lake.rows(settings, MODEL_EVALUATIONS)
        if row[C.SEGMENT].startswith(GAIN_OVER) and not model_ids.knows_later(row[C.MODEL_ID], end)
    ]
    rows.sort(key=lambda row: (row[C.SNAPSHOT_ID], row[C.MODEL_ID]), reverse=True)
    promoted = won(settings)
    return [_tuning(settings, row, judged, promoted) for row in rows[:SHOWN]]


def _tuning(
    settings: Settings, row: Row, judged: Sequence[Hindsight], promoted: Mapping[tuple[str, str], bool]
) -> Tuning:
    low, high = row[C.CI_LOW], row[C.CI_HIGH]
    gain = f"{row[C.VALUE]:+.4f}"
    if low is not None and high is not None:
        gain = with_interval(Estimate(row[C.VALUE], low, high, row[C.USERS]), "+.4f")
    folder = settings.models / row[C.MODEL_ID]
    cost = Cost.of_model(folder)
    return Tuning(
        row[C.MODEL_ID],
        row[C.SEGMENT].removeprefix(GAIN_OVER),
        gain,
        promoted.get((row[C.SNAPSHOT_ID], row[C.MODEL_ID]), row[C.VALUE] > 0),
        told_of_training(folder).get(STARTED_FROM),
        str(cost) if cost else UNKNOWN,
        _in_hindsight(row[C.MODEL_ID], judged, settings),
    )


def _in_hindsight(model_id: str, judged: Sequence[Hindsight], settings: Settings) -> str:
    """How a model's nights fared, of those whose 7 days are over."""
    _, repeats, _ = recommenders(settings.baselines)
    gains = [result.gains[repeats][METRIC].mean for result in judged if model_ids.judged(result.model_id) == model_id]
    if not gains:
        return "no night is old enough"
    nights = f"{len(gains)} night{'s' if len(gains) > 1 else ''}"
    return f"{sum(gains) / len(gains):+.4f} in {nights}"
