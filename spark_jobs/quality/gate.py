"""Great Expectations over computed metrics: one row of numbers instead of many passes over the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contracts.errors import InputError
from spark_jobs.quality.results import Result
from spark_jobs.quality.suites import Check, shown

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext


def quiet_context() -> EphemeralDataContext:
    """A GX context in memory: no files, no progress bars, no calls home. The first one imports GX: seconds."""
    # it logs a line for every function that it decorates while it is imported
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores))
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def judge(suite: str, checks: Sequence[Check], metrics: Mapping[str, float]) -> list[Result]:
    """What GX says of each check, in the order of ``checks``.

    Raises:
        InputError: a check could not be made; that says nothing about the data.
    """
    context = quiet_context()
    import great_expectations as gx
    import pandas as pd
    from great_expectations.expectations import ExpectColumnValuesToBeBetween
    from great_expectations.expectations.metadata_types import FailureSeverity

    expectations = gx.ExpectationSuite(suite)
    for check in checks:
        expectations.add_expectation(
            ExpectColumnValuesToBeBetween(
                column=check.metric,
                min_value=check.low,
                max_value=check.high,
                strict_min=check.above,
                severity=FailureSeverity(check.severity),
                meta={"name": check.name},
            )
        )
    batch = (
        context.data_sources.add_pandas(suite)
        .add_dataframe_asset(suite)
        .add_batch_definition_whole_dataframe(suite)
        .get_batch({"dataframe": pd.DataFrame([dict(metrics)])})
    )
    outcome = batch.validate(expectations, result_format="BASIC")
    met: dict[str, bool] = {}
    for result in outcome.results:
        assert result.expectation_config is not None  # it is what was validated
        name = str(result.expectation_config.meta["name"])
        require_made(suite, name, result.exception_info)
        met[name] = bool(result.success)
    return [
        Result(check.name, check.severity, met[check.name], check.expected, shown(metrics[check.metric]))
        for check in checks
    ]


def require_made(suite: str, name: str, info: Mapping[str, Any]) -> None:
    """Raises an InputError if GX could not evaluate an expectation: it reports that as not met."""
    errors = [info] if "raised_exception" in info else list(info.values())
    messages = {str(error["exception_message"]) for error in errors if error["raised_exception"]}
    if messages:
        raise InputError(
            f"The expectation {name!r} of suite {suite} could not be evaluated: {'; '.join(sorted(messages))} "
            "The suite and the metrics in spark_jobs/quality/ do not fit together."
        )
