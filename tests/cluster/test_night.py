"""A night on a standalone master with two workers: what Spark does not bring to an executor, it does not have.

    make test-cluster

The workers are processes of their own, in other folders, and their Python does not find the project. The lake lies on a
file system that driver and workers have in common, as every cluster needs one.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from nightshift.bench_night.tasks import event_log
from nightshift.chaos.story import NEXT_TO_NO_TRAINING
from nightshift.demo import data as demo_data
from nightshift.runtime import setup_spark
from spark_jobs.cluster.environment import spark_defaults
from tests.lakes import TINY_SPARK
from tests.nights import from_cleaned_to_published, lists_of_everyone, submit
from tests.standalone import (
    LOOPBACK,
    Cluster,
    events,
    executors_of,
    listening,
    python_without_the_project,
    standalone,
)

pytestmark = pytest.mark.timeout(3600)

FIRST_DAY, NIGHT = date(2017, 11, 1), date(2017, 12, 23)
END = NIGHT + timedelta(days=1)
USERS = 40
WORKERS = 2


@dataclass(frozen=True)
class Night:
    """What is left of a night, and what its cluster looked like."""

    settings: Settings
    cluster: Cluster
    listening: set[str]  # while a step ran
    events: Path

    def executors(self, job: str) -> set[str]:
        """The executors that have run a task of a step to its end."""
        (told,) = (each for each in map(events, self.events.iterdir()) if _name(each) == f"nightshift {job}")
        return executors_of(told)


def _name(told: list[dict[str, Any]]) -> object:
    return next(event["App Name"] for event in told if event["Event"] == "SparkListenerApplicationStart")


def settings_for(home: Path, cluster: Cluster, mlflow: Path) -> Settings:
    """A home with the demo's logs whose Spark is the cluster."""
    outer = spark_defaults(load_settings()).parent
    (home / "spark" / "conf").mkdir(parents=True)
    (home / "mlflow").mkdir()
    (home / "events").mkdir()
    shutil.copy(mlflow, home / "mlflow")
    # without the ratio the first worker that is there could do all of a short job
    options = {"spark.scheduler.minRegisteredResourcesRatio": "1.0"} | event_log(home / "events")
    python = python_without_the_project(home / "python")
    (home / "nightshift.toml").write_text(
        f'[spark]\nmaster = "{cluster.master}"\nexecutors = {WORKERS}\nexecutor_cores = 1\nexecutor_memory = "512m"\n'
        f'executor_python = "{python}"\ndriver_memory = "1g"\n[spark.options]\n'
        + "".join(f'"{name}" = "{value}"\n' for name, value in options.items())
        + NEXT_TO_NO_TRAINING
    )
    made = load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})
    jars = sorted((outer / "jars").glob("*.jar"))
    tiny = "".join(f"{name} {value}\n" for name, value in TINY_SPARK.items())
    spark_defaults(made).write_text(setup_spark.defaults(made, jars, setup_spark.java_options(outer)) + tiny)
    demo_data.write(made, Interval(FIRST_DAY, END), USERS)
    return made


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Iterator[Night]:
    """From the landing folder to a published night, with a model that is trained on the way: all on the cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    with standalone(folder / "machines", WORKERS) as cluster:
        settings = settings_for(folder / "home", cluster, prepared_mlflow)
        days = ("--start", str(FIRST_DAY), "--end", str(END))
        with ThreadPoolExecutor(1) as aside:
            cleaning = aside.submit(submit, settings, "clean_events", *days)
            addresses: set[str] = set()
            while not cleaning.done():
                addresses |= listening()
                time.sleep(1)
            cleaning.result()
        from_cleaned_to_published(settings, Interval(FIRST_DAY, END))
        yield Night(settings, cluster, addresses, folder / "home" / "events")


def test_the_night_is_published_with_a_list_for_everyone(night: Night) -> None:
    lists = lists_of_everyone(night.settings, NIGHT)
    assert {len(row[C.ITEMS]) for row in lists} == {night.settings.scoring.n}


@pytest.mark.parametrize("job", ["clean_events", "evaluate", "score_users"])
def test_both_executors_work(night: Night, job: str) -> None:
    assert night.executors(job) == {str(number) for number in range(WORKERS)}


def test_the_executors_have_the_project_and_the_model_from_spark_alone(night: Night) -> None:
    python = night.settings.spark.executor_python
    for work in night.cluster.work:
        alone = subprocess.run(
            [python, "-c", "import contracts"], cwd=work, capture_output=True, text=True, check=False
        )
        assert "No module named 'contracts'" in alone.stderr
        assert list(work.glob("app-*/*/nightshift.zip"))
        assert list(work.glob(f"app-*/*/scoring-*-{NIGHT}/encoder.safetensors"))


def test_nothing_listens_to_other_machines(night: Night) -> None:
    assert night.listening == {LOOPBACK}


def test_a_worker_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a test that fails"), standalone(tmp_path, 1) as cluster:
        raise RuntimeError("a test that fails")
    assert all(process.poll() is not None for process in cluster.processes)
