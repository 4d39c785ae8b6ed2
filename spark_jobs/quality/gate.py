"""Great Expectations over computed metrics: one row of numbers instead of many passes over the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spark_jobs.contracts.errors import InputError
from spark_jobs.quality.results import Result
from spark_jobs.quality.suites import Check, shown

if TYPE_CHECKING:
    from great_expectations.data_context import AbstractDataContext


def quiet_context() -> AbstractDataContext:
    """A GX context in memory that writes no files, shows no progress and calls nobody."""
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}
    return context


def judge(suite: str, checks: Sequence[Check], metrics: Mapping[str, float]) -> list[Result]:
    """What GX says of each check, in the order of ``checks``.

    Raises:
        InputError: a check could not be made; that says nothing about the data.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    context = quiet_context()
    expectations = gx.ExpectationSuite(suite)
    for check in checks:
        expectations.add_expectation(
            gxe.ExpectColumnValuesToBeBetween(
                column=check.metric,
                min_value=check.low,
                max_value=check.high,
                strict_min=check.above,
                severity=check.severity,
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
    found = {result.expectation_config.meta["name"]: result for result in outcome.results}
    for name, result in found.items():
        require_made(suite, name, result.exception_info)
    return [
        Result(
            check.name,
            str(found[check.name].expectation_config.severity.value),
            bool(found[check.name].success),
            check.expected,
            shown(metrics[check.metric]),
        )
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
