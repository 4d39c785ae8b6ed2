"""The night's model: how it was tested next to other recommenders, and how it was trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from contracts import lake, model_ids
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import GAIN_OVER, MODEL_EVALUATIONS
from models.artifact import told_of_training
from models.pair_model.told import Gains
from models.text_losses import TextLosses
from spark_jobs.reporting import plots
from spark_jobs.reporting.night import NightTables

METRICS = ("ndcg@10", "recall@10")
"""Metrics of the model that are drawn; all are in the table."""
ALL = "all"
"""The segment of all users and items."""


@dataclass(frozen=True)
class Model:
    """The night's model, how it was tested and how it was trained."""

    model_id: str
    judged_as: str
    snapshot_id: str | None
    segments: dict[str, list[tuple[str, list[str]]]]  # segment -> rows of a recommender and its values
    metrics: list[str]
    plots: list[Markup]
    curves: list[Markup]
    texts: TextLosses | None  # what its training did not read of them
    pair: Gains | None  # what its pair model gained, if it has one


def model(settings: Settings, night: NightTables) -> Model | None:
    """The model of the night, else of the last published one."""
    row = night.own or night.last
    if row is None:
        return None
    own_id = row[C.MODEL_ID]
    model_id = model_ids.judged(own_id)  # as the tables of the gate have it
    evaluations = [row for row in lake.rows(settings, MODEL_EVALUATIONS) if not row[C.SEGMENT].startswith(GAIN_OVER)]
    snapshot = max((row[C.SNAPSHOT_ID] for row in evaluations if row[C.MODEL_ID] == model_id), default=None)
    tested = [row for row in evaluations if row[C.SNAPSHOT_ID] == snapshot]
    metrics = sorted({row[C.METRIC] for row in tested}, key=lambda name: (name not in METRICS, name))
    segments = sorted({row[C.SEGMENT] for row in tested}, key=lambda name: (name != ALL, name))
    return Model(
        own_id,
        model_id,
        snapshot,
        {name: _table([row for row in tested if row[C.SEGMENT] == name], model_id, metrics) for name in segments},
        metrics,
        _drawn([row for row in tested if row[C.SEGMENT] == ALL], model_id),
        curves(settings.models / own_id),
        TextLosses.of_model(settings.models / own_id),
        Gains.of_model(settings.models / own_id),
    )


def _table(rows: Sequence[Row], model_id: str, metrics: Sequence[str]) -> list[tuple[str, list[str]]]:
    """A row for each recommender: its name and its values."""
    values = {(row[C.MODEL_ID], row[C.METRIC]): _value(row) for row in rows}
    return [(name, [values.get((name, metric), "") for metric in metrics]) for name in _recommenders(rows, model_id)]


def _drawn(rows: Sequence[Row], model_id: str) -> list[Markup]:
    """A plot of each metric that is drawn."""
    drawn = []
    for metric in METRICS:
        of_metric = {row[C.MODEL_ID]: row for row in rows if row[C.METRIC] == metric}
        marks = [
            plots.Interval(name, row[C.VALUE], row[C.CI_LOW], row[C.CI_HIGH], strong=name == model_id)
            for name in _recommenders(of_metric.values(), model_id)
            for row in (of_metric[name],)
        ]
        if marks:
            drawn.append(plots.intervals(f"{metric} on the test window", marks))
    return drawn


def _recommenders(rows: Iterable[Row], model_id: str) -> list[str]:
    """The night's model, other models, then baselines."""
    names = {row[C.MODEL_ID] for row in rows}
    return sorted(names, key=lambda name: (name != model_id, name.startswith("baseline/"), name))


def _value(row: Row) -> str:
    """A value with half the width of its interval, where it has one."""
    if row[C.CI_LOW] is None or row[C.CI_HIGH] is None:
        return f"{row[C.VALUE]:.4f}"
    return f"{row[C.VALUE]:.4f} ± {(row[C.CI_HIGH] - row[C.CI_LOW]) / 2:.4f}"


def curves(folder: Path) -> list[Markup]:
    """Loss and metric curves of a training, one small plot each; none where the model came without them."""
    by_name: dict[str, list[list[float]]] = told_of_training(folder).get("curves", {})
    drawn = []
    for name, points in sorted(by_name.items()):
        line = [(float(x), float(y)) for x, y in points if y is not None]
        drawn.append((name, plots.lines(name, {name: line}, width=354, height=170)))
    return [Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(plot, name) for name, plot in drawn if plot]
