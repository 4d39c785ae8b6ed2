"""Hindsight is computed once for what was published, and remembered in the table `hindsight_results`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Baselines, Settings
from contracts.states import Row, has_later_model, newest_published
from contracts.tables import EVENTS, HINDSIGHT_RESULTS, INGEST_COUNTS, PUBLICATIONS
from models.metrics import Estimate
from spark_jobs.reporting.hindsight import (
    FROM_EVENTS,
    METRICS,
    ByMetric,
    Hindsight,
    ingested_targets,
    judge,
    published_lists,
    recommenders,
    window,
)


def published_hash(settings: Settings, ds: date) -> str:
    """Content hash of the night's lists.

    Raises:
        InputError: the night was not published, or by a model that knew what users would do.
    """
    row = newest_published(lake.rows(settings, PUBLICATIONS, {C.DS: ds}))
    if row is None:
        raise InputError(
            f"Night {ds} was not published, says table {lake.path(settings, PUBLICATIONS)}: there is nothing to judge."
        )
    if has_later_model(row):
        raise InputError(
            f"The lists of {ds} were made by model {row[C.MODEL_ID]}, which knows events up to {row[C.MODEL_AS_OF]}: "
            "what users did after that night says nothing about them. Fine-tune a model of that time (`make model "
            f"AS_OF={ds}`) and run the night again."
        )
    return str(row[C.CONTENT_HASH])


def is_complete(settings: Settings, ds: date) -> bool:
    """Whether all days of the night's window have been ingested."""
    return {row[C.DS] for row in lake.rows(settings, INGEST_COUNTS)}.issuperset(window(ds).days)


def kept(settings: Settings, ds: date, content_hash: str) -> Hindsight | None:
    """The result that the table has for these lists and for the baselines of the settings."""
    rows = lake.rows(settings, HINDSIGHT_RESULTS, {C.DS: ds, C.CONTENT_HASH: content_hash})
    by_key = {(row[C.RECOMMENDER], row[C.METRIC]): row for row in rows}
    expected = {(name, metric) for name in recommenders(settings.baselines) for metric in METRICS}
    return _from_rows(by_key, settings.baselines) if by_key.keys() == expected else None


def remembered(settings: Settings, ds: date, content_hash: str) -> Hindsight:
    """The result of a night: from the table, else computed from `events` and written.

    One that was made of log files is replaced as soon as all days of its window have been ingested.

    Raises:
        InputError: the window is not complete, or the lists were deleted.
    """
    result = kept(settings, ds, content_hash)
    if result and result.source == FROM_EVENTS:
        return result
    if not is_complete(settings, ds):
        if result:
            return result
        raise InputError(
            f"The 7 days after {ds} are not all in table {lake.path(settings, EVENTS)}: run the nights up to "
            f"{window(ds).ds}, or add --landing to read the log files that have arrived."
        )
    lists = published_lists(settings, ds)
    result = judge(settings, lists, ingested_targets(settings, lists), FROM_EVENTS)
    write(settings, result, content_hash)
    return result


def write(settings: Settings, result: Hindsight, content_hash: str) -> None:
    """Replaces what the table has of the night."""
    lake.replace_small(settings, HINDSIGHT_RESULTS, _rows_of(result, content_hash), f"ds = '{result.ds}'")


def _rows_of(result: Hindsight, content_hash: str) -> Sequence[tuple[object, ...]]:
    """Rows of `hindsight_results`, in the order of its columns."""
    return [
        (
            result.ds,
            name,
            metric,
            *_numbers(value),
            *_numbers(result.gains[name][metric] if name in result.gains else None),
            result.users,
            result.users_with_list,
            result.model_id,
            content_hash,
            result.source,
        )
        for name, values in result.values.items()
        for metric, value in values.items()
    ]


def _from_rows(rows: dict[tuple[str, str], Row], rules: Baselines) -> Hindsight:
    """What `_rows_of` wrote, by recommender and metric."""
    lists, *baselines = recommenders(rules)

    def estimates(name: str, columns: tuple[str, str, str]) -> ByMetric:
        return {metric: _estimate(rows[name, metric], columns) for metric in METRICS}

    any_row = next(iter(rows.values()))
    return Hindsight(
        any_row[C.DS],
        any_row[C.MODEL_ID],
        any_row[C.SOURCE],
        any_row[C.USERS_WITH_LIST],
        any_row[C.USERS],
        {name: estimates(name, (C.VALUE, C.CI_LOW, C.CI_HIGH)) for name in (lists, *baselines)},
        {name: estimates(name, (C.GAIN, C.GAIN_LOW, C.GAIN_HIGH)) for name in baselines},
    )


def _numbers(estimate: Estimate | None) -> list[float | None]:
    """Mean and ends of its interval; null for what is not known, as the interval of one user is."""
    if estimate is None:
        return [None, None, None]
    return [number if math.isfinite(number) else None for number in (estimate.mean, estimate.low, estimate.high)]


def _estimate(row: Row, columns: tuple[str, str, str]) -> Estimate:
    """The estimate that `_numbers` wrote."""
    mean, low, high = (row[column] for column in columns)
    if mean is None:
        return Estimate(math.nan, math.nan, math.nan, 0)
    return Estimate(mean, -math.inf if low is None else low, math.inf if high is None else high, row[C.USERS])
