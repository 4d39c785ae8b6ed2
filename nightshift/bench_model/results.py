"""What the lists were worth: metrics by segment, gains with bootstrap intervals, and the mean over several splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from models.evaluation import ALL, GATE, Values, measured
from models.metrics import Doubles, bootstrap, coverage
from nightshift.bench_model.contest import MODEL, Absent, Entry
from nightshift.bench_model.protocols import Case

RESAMPLES, SEED = 1_000, 7


@dataclass(frozen=True)
class Gain:
    """How much more NDCG@10 one has than another on the same users, with a 95% interval of a paired bootstrap."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Result:
    """One recommender, over all splits."""

    name: str
    users: int
    metrics: dict[str, float]  # of all users, means of the splits
    segments: dict[str, float]  # NDCG@10 of each segment that has users
    interval: tuple[float, float]  # of NDCG@10
    gain: Gain | None  # of our model over this one; None for our model, and without it
    segment_gains: dict[str, Gain]
    fit_seconds: float
    score_seconds: float


@dataclass(frozen=True)
class Outcome:
    """A whole benchmark."""

    results: list[Result]
    absent: list[Absent]  # named with the split, where there are several


def values_of(case: Case, entry: Entry) -> Values:
    """Every metric of each judged user."""
    judged, parts, yardstick = case.measure
    values = measured(entry.lists, judged, parts, yardstick)
    values[ALL, "coverage@10"] = np.array([coverage(entry.lists[:, :10], len(case.catalogue))])
    return values


def together(made: Iterable[tuple[str, Values, Entry]]) -> list[Result]:
    """Results of each recommender that took part in all splits, the best one first.

    Users of several splits are taken as so many users: a paired bootstrap draws from all of them.
    """
    by_name: dict[str, list[tuple[str, Values, Entry]]] = {}
    for row in made:
        by_name.setdefault(row[2].name, []).append(row)
    splits = {split for rows in by_name.values() for split, _, _ in rows}
    complete = {name: rows for name, rows in by_name.items() if len(rows) == len(splits)}
    joined = {name: _joined([values for _, values, _ in rows]) for name, rows in complete.items()}
    ours = joined.get(MODEL)
    results = []
    for name, rows in complete.items():
        values = joined[name]
        whole = values[ALL, GATE]
        of_segment = {segment: each for (segment, metric), each in values.items() if metric == GATE}
        gains = {
            segment: gain_of(ours[segment, GATE], each)
            for segment, each in of_segment.items()
            if ours is not None and name != MODEL and not np.isnan(each).all()
        }
        results.append(
            Result(
                name,
                int((~np.isnan(whole)).sum()),
                {metric: float(np.nanmean(each)) for (segment, metric), each in values.items() if segment == ALL},
                {segment: float(np.nanmean(each)) for segment, each in of_segment.items() if not np.isnan(each).all()},
                bootstrap(whole, RESAMPLES, SEED),
                gains.pop(ALL, None),
                gains,
                sum(entry.fit_seconds for _, _, entry in rows),
                sum(entry.score_seconds for _, _, entry in rows),
            )
        )
    return sorted(results, key=lambda result: -result.metrics[GATE])


def _joined(values: Sequence[Values]) -> Values:
    return {key: np.concatenate([each[key] for each in values]) for key in values[0]}


def gain_of(ours: Doubles, theirs: Doubles) -> Gain:
    """How much more ``ours`` has than ``theirs``, values of the same users, [users]."""
    gains = ours - theirs
    return Gain(float(np.nanmean(gains)), *bootstrap(gains, RESAMPLES, SEED))


def as_json(outcome: Outcome, about: Mapping[str, object]) -> dict[str, object]:
    """All of it, for a file."""
    return {**about, **asdict(outcome)}
