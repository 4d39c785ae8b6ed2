"""Both DAGs end to end under Airflow's scheduler, on a slice of the demo data and with next to no training.

The story runs once, fixture after fixture: a history is ingested, a night runs and has its first model fine-tuned on
the way, the same night runs again, and the log of the next one arrives broken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import FALLBACK_USER
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from contracts.states import PUBLISHED, newest
from contracts.tables import (
    EVENTS,
    INGEST_COUNTS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
)
from nightshift.chaos.story import NEXT_TO_NO_TRAINING
from nightshift.demo import data as demo_data
from nightshift.runtime.airflow_runs import history as history_run
from nightshift.runtime.airflow_runs import night, run_dag
from nightshift.runtime.commands import RunError, log_file
from nightshift.runtime.environment import airflow_home, environment
from nightshift.runtime.services import airflow
from tests.lakes import TINY_SPARK

pytestmark = pytest.mark.timeout(1800)

FIRST_DAY, LAST_DAY, NIGHT, BROKEN = date(2017, 11, 1), date(2017, 12, 22), date(2017, 12, 23), date(2017, 12, 24)
USERS = 40

TINY = f'\n[spark]\nmaster = "local[1]"\n{NEXT_TO_NO_TRAINING}'


@dataclass(frozen=True)
class Published:
    """What readers of a night see."""

    lists: list[dict[str, Any]]
    content_hash: str
    table_version: int


def published(settings: Settings, ds: date) -> Published:
    """The published night ``ds``."""
    lists = lake.rows(settings, RECOMMENDATIONS, {C.DS: ds})
    publication = newest(lake.rows(settings, PUBLICATIONS, {C.DS: ds}))
    assert publication
    assert publication[C.STATUS] == PUBLISHED
    return Published(
        sorted(lists, key=lambda row: row[C.USER_ID]),
        publication[C.CONTENT_HASH],
        lake.version(settings, RECOMMENDATIONS),
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, prepared_airflow: Path, prepared_mlflow: Path) -> Settings:
    """A home of its own with the demo's logs; Delta's jars and most of Spark's options are the outer ones."""
    home: Path = tmp_path_factory.mktemp("e2e")
    outer = load_settings().home / "spark"
    (home / "spark").mkdir()
    for part in ("conf", "jars", "classes.jsa", "log4j2.properties"):
        (home / "spark" / part).symlink_to(outer / part)
    tiny = "".join(f"{name} {value}\n" for name, value in TINY_SPARK.items())
    (home / "spark" / "spark-defaults.conf").write_text((outer / "spark-defaults.conf").read_text() + tiny)
    (home / "nightshift.toml").write_text(TINY)
    made = load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})
    shutil.copytree(prepared_airflow, airflow_home(made), ignore=shutil.ignore_patterns("airflow.cfg", "logs"))
    (home / "mlflow").mkdir()
    shutil.copy(prepared_mlflow, home / "mlflow")
    demo_data.write(made, Interval(FIRST_DAY, Interval.of_night(BROKEN).end), USERS)
    return made


@pytest.fixture(scope="module")
def scheduler(settings: Settings) -> Iterator[None]:
    """One Airflow for the whole story, as the demo has it, in the environment that the make targets give."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(settings, os.environ).items():
            patch.setenv(name, value)
        with airflow(settings, "the tests"):
            yield


@pytest.fixture(scope="module")
def history(settings: Settings, scheduler: None) -> Settings:
    """The history is ingested, and nothing is scored."""
    run_dag(settings, history_run(NIGHT, FIRST_DAY))
    return settings


@pytest.fixture(scope="module")
def trained(history: Settings) -> Settings:
    """The first night ran: there was no champion yet, so that it had one fine-tuned."""
    run_dag(history, night(NIGHT))
    return history


@pytest.fixture(scope="module")
def first(trained: Settings) -> Published:
    """What the first night published."""
    return published(trained, NIGHT)


@pytest.fixture(scope="module")
def again(trained: Settings, first: Published) -> Published:
    """The night ran a second time."""
    run_dag(trained, night(NIGHT))
    return published(trained, NIGHT)


@pytest.fixture(scope="module")
def broken(trained: Settings, again: Published) -> RunError:
    """The log of the next night is cut off: its run fails."""
    (file,) = (trained.landing / "events" / f"ds={BROKEN}").glob("*.gz")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(RunError) as error:
        run_dag(trained, night(BROKEN))
    return error.value


def test_the_first_load_takes_in_every_day_and_validates(history: Settings) -> None:
    counts = lake.rows(history, INGEST_COUNTS)
    assert [row[C.DS] for row in sorted(counts, key=lambda row: row[C.DS])] == Interval(FIRST_DAY, NIGHT).days
    assert all(row["raw"] == row["clean"] + row["rejected"] + row["duplicates"] for row in counts)
    assert {row[C.DS] for row in lake.rows(history, QUALITY_RESULTS)} == {LAST_DAY}
    assert not lake.rows(history, RECOMMENDATIONS)


def test_the_model_is_compared_with_the_baselines(trained: Settings) -> None:
    compared = {row[C.MODEL_ID] for row in lake.rows(trained, MODEL_EVALUATIONS)}
    assert any(name.startswith("baseline/") for name in compared)
    assert any(not name.startswith("baseline/") for name in compared)


def test_every_user_with_events_gets_exactly_n_items(trained: Settings, first: Published) -> None:
    users = lake.arrow(trained, EVENTS, [C.USER_ID])[C.USER_ID].unique().to_pylist()
    assert [row[C.USER_ID] for row in first.lists] == sorted([FALLBACK_USER, *users])
    for row in first.lists:
        assert [item[C.RANK] for item in row[C.ITEMS]] == list(range(1, trained.scoring.n + 1))
        assert len({item[C.ITEM_ID] for item in row[C.ITEMS]}) == trained.scoring.n


def test_the_jobs_of_a_night_get_the_model_that_it_chose(trained: Settings, again: Published) -> None:
    (model_id,) = {row[C.MODEL_ID] for row in again.lists}
    log = log_file(trained, f"night-{NIGHT}").read_text()
    commands = [line for line in log.splitlines() if "Spark-Submit cmd:" in line]
    using = {
        job for job in ("embed_items", "score_users") for line in commands if f"{job}.py" in line and model_id in line
    }
    assert using == {"embed_items", "score_users"}


def test_a_second_run_changes_nothing(first: Published, again: Published) -> None:
    assert again.content_hash == first.content_hash
    without_run = [{name: value for name, value in row.items() if name != C.RUN_ID} for row in again.lists]
    assert without_run == [{name: row[name] for name in row if name != C.RUN_ID} for row in first.lists]


def test_a_broken_log_stops_the_night_says_so_and_leaves_the_last_one(
    trained: Settings, again: Published, broken: RunError
) -> None:
    assert f"ds={BROKEN}" in str(broken)
    assert "truncated" in str(broken)
    log = log_file(trained, f"night-{BROKEN}").read_text()
    assert "Traceback" not in log
    assert published(trained, NIGHT) == again
    assert not lake.rows(trained, RECOMMENDATIONS, {C.DS: BROKEN})
    assert not lake.rows(trained, INGEST_COUNTS, {C.DS: BROKEN})


def test_every_night_has_a_report_the_broken_one_too(trained: Settings, broken: RunError) -> None:
    assert sorted(file.stem for file in trained.reports.glob("20*.html")) == [
        str(day) for day in (LAST_DAY, NIGHT, BROKEN)
    ]
