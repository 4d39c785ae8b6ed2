"""The entry point of a step that needs Spark: ``run(spark, settings, arguments)`` in a session of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark.sql import SparkSession

from contracts import cli
from contracts.night_steps import Counts
from contracts.settings import Settings
from spark_jobs.cluster.session import session

Arguments = TypeVar("Arguments")


def main(
    name: str,
    doc: str | None,
    kind: type[Arguments],
    run: Callable[[SparkSession, Settings, Arguments], object],
    *,
    instead: Callable[[Settings, Arguments], Counts | None] = lambda *_: None,
    meanwhile: Callable[[Settings], object] = lambda _: None,
) -> None:
    """`contracts.cli.main` for a step that needs Spark.

    Args:
        name: Of the step, for Spark.
        doc: The step's docstring: the help.
        kind: Dataclass of its arguments.
        run: The step.
        instead: What it counts where there is nothing to do, which is told without Spark: then no session is started.
            None where there is.
        meanwhile: What takes seconds to import or open, while Java starts.
    """

    def in_a_session(settings: Settings, arguments: Arguments) -> object:
        if (nothing := instead(settings, arguments)) is not None:
            return nothing
        with ThreadPoolExecutor(1) as aside:
            prepared = aside.submit(meanwhile, settings)
            with session(name, settings) as spark:
                prepared.result()
                return run(spark, settings, arguments)

    cli.main(doc, kind, in_a_session)
