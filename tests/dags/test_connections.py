"""What spark-submit makes of the connection `spark_default`: standalone, YARN and Kubernetes, as far as without one.

The real operator, hook and spark-submit run a job that starts no session: beyond this only a cluster can tell.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import Settings
from nightshift.runtime import setup_spark
from spark_jobs.cluster.environment import spark_defaults

KUBERNETES = {"conn_type": "spark", "host": "k8s://https://127.0.0.1", "port": 6443, "extra": {"namespace": "shop"}}
YARN = {"conn_type": "spark", "host": "yarn", "extra": {"queue": "nights"}}
STANDALONE = {"conn_type": "spark", "host": "spark://127.0.0.1", "port": 7077}


@pytest.fixture(scope="module")
def options(settings: Settings) -> Path:
    """The options of the settings, in the file that the operator names; no session is started: there are no jars."""
    file = spark_defaults(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    dynamic = settings.spark.model_copy(update={"dynamic_allocation": True, "executors": 5})
    file.write_text(setup_spark.defaults(settings.model_copy(update={"spark": dynamic}), [], ""))
    return file


def submitted(
    environ: dict[str, str], connection: dict[str, Any] | str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Runs the job on a connection."""
    told = connection if isinstance(connection, str) else json.dumps(connection)
    return subprocess.run(
        [sys.executable, Path(__file__).parent / "cases" / "connecting.py", *arguments],
        env=environ | {"AIRFLOW_CONN_SPARK_DEFAULT": told},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def understood(output: str) -> dict[str, str]:
    """The options with which spark-submit would start a driver."""
    _, _, config = output.partition("Spark config:")
    return dict(re.findall(r"\((spark\.[^,]+),(.*)\)\s*$", config, re.MULTILINE))


@pytest.mark.parametrize(
    ("connection", "arguments", "expected"),
    [
        (STANDALONE, (), {"spark.master": "spark://127.0.0.1:7077", "spark.cores.max": "10"}),
        (YARN, (), {"spark.master": "yarn", "spark.yarn.queue": "nights"}),
        (
            KUBERNETES,
            ("--kubernetes",),
            {"spark.master": "k8s://https://127.0.0.1:6443", "spark.kubernetes.namespace": "shop"},
        ),
    ],
    ids=["standalone", "yarn", "kubernetes"],
)
def test_spark_understands_the_connection_and_the_settings(
    airflow_environ: dict[str, str],
    options: Path,
    tmp_path: Path,
    connection: dict[str, Any],
    arguments: tuple[str, ...],
    expected: dict[str, str],
) -> None:
    done = submitted(airflow_environ | {"HADOOP_CONF_DIR": str(tmp_path)}, connection, *arguments)
    assert done.returncode == 0, done.stdout
    made = understood(done.stdout)
    assert made.items() >= expected.items()
    assert made["spark.submit.deployMode"] == "client"
    assert made["spark.executor.memory"] == "4g"
    assert made["spark.dynamicAllocation.shuffleTracking.enabled"] == "true"
    assert made["spark.dynamicAllocation.maxExecutors"] == "5"
    # the step has what the operator gives it: its results come back
    assert "result model_id: 2017-01-02-0" in done.stdout


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (YARN, "either HADOOP_CONF_DIR or YARN_CONF_DIR must be set in the environment"),
        (
            YARN | {"extra": {"deploy-mode": "cluster"}},
            "nightshift: ERROR: The connection spark_default has the deploy-mode cluster, expected client: a step runs",
        ),
        ("{broken", "nightshift: ERROR: There is no connection spark_default, or its JSON cannot be read"),
        (KUBERNETES, "install apache-airflow-providers-cncf-kubernetes beside it"),
    ],
    ids=["no-configuration", "cluster-mode", "broken", "no-package"],
)
def test_a_wrong_connection_is_refused_in_words(
    airflow_environ: dict[str, str], options: Path, connection: dict[str, Any] | str, message: str
) -> None:
    done = submitted(airflow_environ, connection)
    assert done.returncode
    assert message in done.stdout
