"""A night whose lake and landing folder lie in an S3 store: Spark and the Delta library read and write the same tables.

make test-s3
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from contracts import places
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from nightshift.chaos.story import NEXT_TO_NO_TRAINING
from nightshift.demo import data as demo_data
from nightshift.runtime import setup_spark
from spark_jobs.cluster.environment import spark_defaults
from tests.lakes import TINY_SPARK
from tests.nights import from_cleaned_to_published, lists_of_everyone, run, submit
from tests.object_store import ObjectStore

pytestmark = pytest.mark.timeout(3600)

FIRST_DAY, NIGHT = date(2017, 11, 1), date(2017, 12, 23)
END = NIGHT + timedelta(days=1)
USERS = 40

RACE = """
from datetime import UTC, date, datetime
from contracts import lake
from contracts.settings import load_settings
from contracts.tables import INGEST_FILES
from spark_jobs.cluster.session import session
settings = load_settings()
with session("race", settings) as spark:
    for day in range(1, 6):
        row = (date(2018, 1, day), "spark.jsonl", 1, 2, datetime(2018, 1, day, tzinfo=UTC))
        frame = spark.createDataFrame([row], INGEST_FILES.ddl)
        lake.replace(frame, settings, INGEST_FILES, f"ds = '2018-01-0{day}'")
"""
"""Spark, as another writer of a table."""

FENCE = """
from contracts.settings import load_settings
from spark_jobs.cluster.session import session
settings = load_settings()
with session("fence", settings) as spark:
    file = spark._jvm.org.apache.hadoop.fs.Path(f"{settings.lake}/fence/_delta_log/00000000000000000000.json")
    store = file.getFileSystem(spark._jsc.hadoopConfiguration())
    first = store.create(file, False)
    first.write(1)
    first.close()
    try:
        store.create(file, False)
    except Exception as error:
        print("refused:", str(error.java_exception).splitlines()[0])
"""
"""How Delta's log store creates a commit, of one that is there."""


@dataclass(frozen=True)
class Night:
    """What is left of a night."""

    settings: Settings
    report: str


def prepared(store: ObjectStore, home: Path, mlflow: Path) -> Settings:
    """A home with Spark's options for the store."""
    outer = load_settings()
    (home / "spark" / "conf").mkdir(parents=True)
    (home / "mlflow").mkdir()
    shutil.copy(mlflow, home / "mlflow")
    made = store.settings(home, NEXT_TO_NO_TRAINING)
    jars = [*setup_spark.resolve_jars(outer), *setup_spark.resolve_jars(outer, setup_spark.S3A_JARS)]
    tiny = "".join(f"{name} {value}\n" for name, value in TINY_SPARK.items())
    options = setup_spark.defaults(made, jars, setup_spark.java_options(spark_defaults(outer).parent))
    spark_defaults(made).write_text(options + tiny)
    return made


@pytest.fixture(scope="module")
def night(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Night:
    """From the landing folder to a published night and its page, with a model that is trained on the way."""
    settings = prepared(store, tmp_path_factory.mktemp("night") / "home", prepared_mlflow)
    demo_data.write(settings, Interval(FIRST_DAY, END), USERS)
    days = ("--start", str(FIRST_DAY), "--end", str(END))
    run(settings, sys.executable, "-m", "spark_jobs.land_events", *days)
    submit(settings, "clean_events", *days)
    from_cleaned_to_published(settings, Interval(FIRST_DAY, END))
    run(settings, sys.executable, "-m", "spark_jobs.report", "--ds", str(NIGHT))
    return Night(settings, (settings.reports / f"{NIGHT}.html").read_text())


def test_the_night_is_published_with_a_list_for_everyone(night: Night) -> None:
    lists_of_everyone(night.settings, NIGHT)
    assert str(NIGHT) in night.report


def test_nothing_of_the_lake_lies_on_the_machine_and_no_secret_in_a_file(night: Night, store: ObjectStore) -> None:
    home = night.settings.home
    assert not (home / "lake").exists()
    assert not (home / "landing").exists()
    assert {"events", "recommendations"} <= set(places.names(night.settings.lake))
    secret = store.environ["AWS_SECRET_ACCESS_KEY"].encode()
    assert not [file for file in home.rglob("*") if file.is_file() and secret in file.read_bytes()]


def test_spark_and_the_delta_library_write_one_table_at_once(
    store: ObjectStore, tmp_path: Path, prepared_mlflow: Path
) -> None:
    from tests.s3.test_writers import DAYS, WRITER, days_there, started

    settings = prepared(store, tmp_path / "race", prepared_mlflow)
    other = started(settings, WRITER, *map(str, DAYS))
    run(settings, sys.executable, "-c", RACE)
    assert other.wait() == 0
    assert days_there(settings) == [*DAYS, *(date(2018, 1, day) for day in range(1, 6))]


def test_spark_replaces_no_commit_that_is_there(store: ObjectStore, tmp_path: Path, prepared_mlflow: Path) -> None:
    settings = prepared(store, tmp_path / "fence", prepared_mlflow)
    assert "refused:" in run(settings, sys.executable, "-c", FENCE)
