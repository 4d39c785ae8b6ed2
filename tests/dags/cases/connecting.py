"""Submits the job `exits` through the project's operator on the connection `spark_default`. Run by test_connections.py.

The job starts no session: spark-submit reads its arguments, says what it has understood, and runs it as it would run a
step's driver. What it has been given by the operator comes back as its result.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.hooks import spark_submit

import wiring.jobs

vars(wiring.jobs)["PROJECT"] = Path(__file__).parent / "project"


class Ti:
    """What a task's results are given to."""

    def xcom_push(self, key: str, value: object) -> None:
        """Prints one."""
        print(f"result {key}: {value}", flush=True)


class Verbose(wiring.jobs.SparkJobHook):
    """spark-submit that tells what it has understood."""

    def _build_spark_common_args(self) -> list[str]:
        return ["--verbose", *super()._build_spark_common_args()]

    def _process_spark_submit_log(self, itr: Iterator[Any]) -> None:
        """Prints each line as it is, without what Airflow's log puts around it."""
        lines = list(itr)
        print("".join(lines), flush=True)
        super()._process_spark_submit_log(iter(lines))


def main() -> None:
    """Runs the job; ``--kubernetes`` stands for the package that a connection to Kubernetes takes."""
    if "--kubernetes" in sys.argv:
        # the provider only asks whether the name is there, and uses it to end drivers in pods
        vars(spark_submit)["kube_client"] = subprocess
    vars(wiring.jobs)["SparkJobHook"] = Verbose
    job: Any = wiring.jobs.SparkJob(task_id="exits", job="exits", arguments=["0"])
    job.execute({"ti": Ti()})


if __name__ == "__main__":
    main()
