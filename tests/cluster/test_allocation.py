"""Dynamic allocation by the settings, on a real master: no executor before a task waits, shuffles without a service."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from contracts.settings import Settings, Spark, load_settings
from nightshift.bench_night.tasks import event_log
from nightshift.runtime import setup_spark
from nightshift.runtime.environment import environment
from spark_jobs.cluster.environment import spark_defaults
from tests.standalone import events, executors_of, standalone

pytestmark = pytest.mark.timeout(1200)

JOB = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("rows:", spark.range(0, 100, 1, 4).repartition(4, "id").selectExpr("id % 7 AS of").groupBy("of").count().count())
spark.stop()
"""


def test_executors_come_with_the_tasks_that_wait(settings: Settings, tmp_path: Path) -> None:
    outer = spark_defaults(load_settings()).parent
    log, script, options = tmp_path / "events", tmp_path / "job.py", tmp_path / "spark.conf"
    log.mkdir()
    script.write_text(JOB)
    with standalone(tmp_path / "machines") as cluster:
        spark = Spark(
            master=cluster.master,
            executors=2,
            executor_cores=1,
            executor_memory="512m",
            driver_memory="512m",
            shuffle_partitions=4,
            dynamic_allocation=True,
            options=event_log(log),
        )
        dynamic = settings.model_copy(update={"spark": spark})
        jars = sorted((outer / "jars").glob("*.jar"))
        options.write_text(setup_spark.defaults(dynamic, jars, setup_spark.java_options(outer)))
        done = subprocess.run(
            ["spark-submit", "--properties-file", str(options), str(script)],
            env=environment(dynamic, os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert "rows: 7" in done.stdout, done.stdout[-4000:]
    (file,) = log.iterdir()
    told = events(file)
    names = [event["Event"] for event in told]
    assert names.index("SparkListenerExecutorAdded") > names.index("SparkListenerJobStart")
    assert executors_of(told) <= {"0", "1"}
