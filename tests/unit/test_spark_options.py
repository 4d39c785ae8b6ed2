"""What the settings say of a cluster becomes Spark's options, and what Spark would not understand is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from contracts.errors import SettingsError
from contracts.settings import Settings, load_settings
from nightshift.runtime.setup_spark import defaults
from spark_jobs.cluster.environment import spark_environment

DYNAMIC = "spark.dynamicAllocation."


def said(tmp_path: Path, spark: str) -> Settings:
    """The settings of a file with these lines below ``[spark]``."""
    (tmp_path / "nightshift.toml").write_text(f"[spark]\n{spark}\n")
    return load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})


def options(settings: Settings) -> dict[str, str]:
    """The options of Spark that these settings give."""
    lines = defaults(settings, [Path("/jars/delta.jar")], "").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def test_executors_have_the_size_and_the_number_of_the_settings(tmp_path: Path) -> None:
    made = options(
        said(tmp_path, 'executors = 3\nexecutor_cores = 4\nexecutor_memory = "6g"\nexecutor_overhead = "1500m"')
    )
    assert made["spark.executor.instances"] == "3"
    assert made["spark.executor.cores"] == "4"
    assert made["spark.cores.max"] == "12"
    assert made["spark.executor.memory"] == "6g"
    assert made["spark.executor.memoryOverhead"] == "1500m"
    assert not [name for name in made if name.startswith(DYNAMIC)]


def test_dynamic_allocation_comes_with_shuffle_tracking_and_without_a_fixed_number(tmp_path: Path) -> None:
    made = options(said(tmp_path, "executors = 3\ndynamic_allocation = true"))
    assert {name.removeprefix(DYNAMIC): value for name, value in made.items() if name.startswith(DYNAMIC)} == {
        "enabled": "true",
        "shuffleTracking.enabled": "true",
        "maxExecutors": "3",
    }
    assert "spark.executor.instances" not in made


def test_the_executors_can_have_a_python_of_their_own(tmp_path: Path) -> None:
    own = spark_environment(said(tmp_path, 'executor_python = "/opt/python"'))
    assert (own["PYSPARK_PYTHON"], own["PYSPARK_DRIVER_PYTHON"]) == ("/opt/python", sys.executable)
    assert spark_environment(said(tmp_path, ""))["PYSPARK_PYTHON"] == sys.executable


def test_other_options_of_spark_pass_and_ours_are_not_said_twice(tmp_path: Path) -> None:
    image = '"spark.kubernetes.container.image" = "nightshift:1"'
    assert options(said(tmp_path, f"[spark.options]\n{image}"))["spark.kubernetes.container.image"] == "nightshift:1"
    twice = said(tmp_path, '[spark.options]\n"spark.executor.memory" = "1g"')
    with pytest.raises(SettingsError, match=r"spark\.options names spark\.executor\.memory, which Nightshift sets"):
        options(twice)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'executor_memory = "4 GB"',
            "spark.executor_memory: value error, has to be a whole number with m or g and at least 512m, such as 4g, "
            "found '4 GB'",
        ),
        ('executor_memory = "511m"', "at least 512m"),
        ('driver_memory = "4gb"', "spark.driver_memory: value error, has to be a whole number with m or g"),
        ("executor_overhead = 2", "spark.executor_overhead: input should be a valid string, found 2"),
        ("executor_cores = 0", "spark.executor_cores: input should be greater than or equal to 1, found 0"),
        ("executors = 0", "spark.executors: input should be greater than or equal to 1, found 0"),
        (
            'options = { image = "x" }',
            "has to hold names that start with spark. and values of one line, unlike 'image'",
        ),
        (r'options = { "spark.a" = "b\nspark.c d" }', "values of one line"),
    ],
)
def test_what_spark_would_not_understand_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        said(tmp_path, line)
    assert message in str(error.value)
