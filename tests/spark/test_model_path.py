"""From events to staged lists with a real model: splits, fine-tuning, evaluation, embedding, scoring."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models import artifact, fine_tune, registry
from spark_jobs import build_splits, embed_items, evaluate, score_users, storage
from spark_jobs.contracts.errors import InputError, ModelError
from spark_jobs.contracts.settings import PROJECT, Settings, load_settings
from spark_jobs.contracts.tables import EVENTS, ITEM_VECTORS, ITEMS, MODEL_EVALUATIONS, staging
from spark_jobs.contracts.windows import Windows
from spark_jobs.environment import environment
from tests.spark.conftest import Lake

END = date(2017, 3, 5)
DS = END - timedelta(days=1)
USERS = 24
KINDS = ("milk", "bread", "apples", "coffee", "soap", "cheese")

TINY = """
[training]
tower_steps = 2
tower_batch = 8
lora_layers = 1
vector_size = 16
encoder_epochs = 1
encoder_negatives = 8
ranker_windows = 2
min_item_events = 1
text_batch = 16
[scoring]
n = 5
matched = 10
users_per_batch = 7
[splits]
max_history = 200
"""


def item_rows() -> list[dict[str, Any]]:
    """Three sizes of each kind; two items share a text, one was never bought, one cannot be sold."""
    rows = []
    for number, kind in enumerate(KINDS):
        for size in range(3):
            text = f"{kind}, size {size if (kind, size) != ('soap', 2) else 1}"
            rows.append(
                {
                    "item_id": f"i{number}{size}",
                    "title": kind,
                    "category": kind.upper(),
                    "text": text,
                    "text_hash": f"hash of {text}",
                    "available": (kind, size) != ("bread", 2),
                }
            )
    return rows


def event_rows() -> list[dict[str, Any]]:
    """Users that come every few days and mostly take their two kinds."""
    rows = []
    draw = random.Random(3)
    for user in range(USERS):
        for visit in range(0, 60, 3):
            day = END - timedelta(days=60 - visit)
            for nth in range(2):
                kind = (user + nth) % len(KINDS) if draw.random() < 0.8 else draw.randrange(len(KINDS))
                rows.append(
                    {
                        "event_id": f"{user}-{visit}-{nth}",
                        "user_id": f"u{user:02d}",
                        "item_id": f"i{kind}{draw.randrange(2)}",
                        "behaviour": "purchase",
                        "event_time": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
                        "quantity": 1.0,
                        "price": None if nth else 2.5,
                        "session_id": f"s{user}-{visit}",
                        "ds": day,
                    }
                )
    return rows


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a trained, evaluated champion and its item vectors."""
    home = tmp_path_factory.mktemp("home")
    (home / "nightshift.toml").write_text(TINY)
    settings = load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})
    made = Lake(spark, settings)
    made.write(ITEMS, item_rows())
    made.write(EVENTS, event_rows())
    build_splits.run(spark, settings, END)
    fine_tune.run(settings, Windows.of(settings, END))
    evaluate.run(spark, settings, Windows.of(settings, END))
    return made


def champion(settings: Settings) -> Path:
    return registry.folder_of(settings)


def staged(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows(staging(str(DS)))


def test_the_model_folder_is_safetensors_and_json_and_verifies(lake: Lake) -> None:
    folder = champion(lake.settings)
    about = artifact.verify(folder)
    assert about["model_id"] == folder.name
    assert {Path(name).suffix for name in about["files"]} <= {".safetensors", ".json", ".txt", ".jinja"}
    curves = json.loads((folder / "training.json").read_text())["curves"]
    assert {"tower_loss", "tower_validation", "encoder_validation"} <= set(curves)


def test_the_same_snapshot_is_not_trained_twice(lake: Lake) -> None:
    folder = champion(lake.settings)
    written = (folder / artifact.MANIFEST).stat().st_mtime_ns
    assert fine_tune.run(lake.settings, Windows.of(lake.settings, END)) == folder.name
    assert (folder / artifact.MANIFEST).stat().st_mtime_ns == written


def test_the_evaluation_compares_with_every_baseline(lake: Lake) -> None:
    rows = [row for row in lake.rows(MODEL_EVALUATIONS) if (row["segment"], row["metric"]) == ("all", "ndcg@10")]
    name = champion(lake.settings).name
    assert {row["model_id"] for row in rows} == {
        name,
        f"text_before_tuning/{name}",
        f"text_after_tuning/{name}",
        "baseline/popular_7_days",
        "baseline/own_repeats_90_days",
        "baseline/item_knn",
        "baseline/als",
    }
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in rows)
    # users of this shop repeat themselves, so that even a tiny model must see more than the popular list
    values = {row["model_id"]: row["value"] for row in rows}
    assert values[name] > values["baseline/popular_7_days"]


def test_every_item_has_a_unit_vector_and_equal_texts_of_unseen_items_are_close(lake: Lake) -> None:
    rows = {row["item_id"]: row for row in lake.rows(ITEM_VECTORS)}
    assert set(rows) == {row["item_id"] for row in item_rows()}
    assert all(abs(sum(x * x for x in row["vector"]) - 1) < 1e-5 for row in rows.values())
    # i42 was never bought: it has no learned part; its text is that of i41
    assert rows["i42"]["text_hash"] == rows["i41"]["text_hash"]


def test_only_a_changed_text_is_embedded_again(lake: Lake) -> None:
    settings, name = lake.settings, champion(lake.settings).name
    before = {row["item_id"]: row["vector"] for row in lake.rows(ITEM_VECTORS)}
    assert embed_items.stale_items(settings, name).num_rows == 0
    changed = item_rows()
    changed[0] |= {"text": "oat drink", "text_hash": "hash of oat drink"}
    lake.write(ITEMS, changed)
    stale = embed_items.stale_items(settings, name)
    assert stale["item_id"].to_pylist() == ["i00"]
    embed_items.run(lake.spark, settings, champion(settings), name, stale)
    after = {row["item_id"]: row["vector"] for row in lake.rows(ITEM_VECTORS)}
    assert after["i00"] != before["i00"]
    assert {key: value for key, value in after.items() if key != "i00"} == {
        key: value for key, value in before.items() if key != "i00"
    }
    lake.write(ITEMS, item_rows())
    embed_items.run(lake.spark, settings, champion(settings), name, embed_items.stale_items(settings, name))
    again = {row["item_id"]: row["vector"] for row in lake.rows(ITEM_VECTORS)}
    assert again.keys() == before.keys()
    # another batch pads otherwise: equal but for rounding
    assert again["i00"] == pytest.approx(before["i00"], abs=1e-5)


def score(lake: Lake, run_id: str = "test") -> None:
    score_users.run(lake.spark, lake.settings, END, DS, run_id, champion(lake.settings))


def test_everyone_gets_n_available_items_and_the_same_twice(lake: Lake) -> None:
    score(lake)
    first = staged(lake)
    assert [row["user_id"] for row in first] == [f"u{user:02d}" for user in range(USERS)]
    for row in first:
        ids = [item["item_id"] for item in row["items"]]
        assert len(set(ids)) == 5
        assert "i12" not in ids  # not available
        assert [item["rank"] for item in row["items"]] == [1, 2, 3, 4, 5]
    score(lake)
    assert staged(lake) == first


def test_events_after_the_night_change_nothing(lake: Lake) -> None:
    score(lake)
    first = staged(lake)
    late = event_rows()[0] | {"event_id": "late", "item_id": "i55", "ds": END}
    late["event_time"] = datetime(END.year, END.month, END.day, 1, tzinfo=UTC)
    lake.write(EVENTS, [*event_rows(), late])
    score(lake)
    assert staged(lake) == first
    lake.write(EVENTS, event_rows())


def test_a_missing_vector_stops_scoring_with_what_to_do(lake: Lake) -> None:
    lake.write(ITEMS, [*item_rows(), item_rows()[0] | {"item_id": "new"}])
    with pytest.raises(ModelError, match=r"lacks 1 of 19 items .* run spark_jobs.embed_items first"):
        score(lake)
    lake.write(ITEMS, item_rows())


def test_a_changed_model_file_is_refused(lake: Lake, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in champion(lake.settings).iterdir():
        if file.is_file():
            (broken / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=r"tower/\S+ is missing"):
        score_users.run(lake.spark, lake.settings, END, DS, "test", broken)


def test_an_unknown_snapshot_is_named(lake: Lake) -> None:
    with pytest.raises(InputError, match="has no split 'validation' of snapshot 2016-01-01-7d"):
        fine_tune.run(lake.settings, Windows.of(lake.settings, date(2016, 1, 1)))


def test_a_killed_scoring_leaves_nothing_half_done(lake: Lake) -> None:
    score(lake)
    whole = staged(lake)
    versions = storage.version(lake.settings, staging(str(DS)))
    command = [sys.executable, "-m", "spark_jobs.score_users", "--start", str(DS), "--end", str(END)]
    killed = subprocess.Popen(
        command, env=job_environment(lake, "local[2]"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert killed.stderr
    assert any("Scoring everyone" in line for line in killed.stderr)  # the executors are at work now
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert storage.version(lake.settings, staging(str(DS))) == versions
    assert staged(lake) == whole
    score(lake)
    assert staged(lake) == whole


CLUSTER = "local-cluster[2,1,1024]"
"""Two executor processes of their own, which have only what is sent to them."""

WHERE_CODE_IS = """
import sys
from spark_jobs.contracts.settings import load_settings
from spark_jobs.session import session

def where(frames):
    import models.scoring, pandas
    for frame in frames:
        yield pandas.DataFrame({"file": [models.scoring.__file__]})

with session("where", load_settings()) as spark:
    found = {row.file for row in spark.range(4).repartition(4).mapInPandas(where, "file string").collect()}
print("\\n".join(sorted(found)))
"""


def job_environment(lake: Lake, master: str) -> dict[str, str]:
    """Variables for a job in a process of its own, with this lake and another Spark master."""
    own = ("SPARK_", "PYSPARK_", "NIGHTSHIFT_")
    base = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    home = {"NIGHTSHIFT_HOME": str(lake.settings.home), "NIGHTSHIFT_PROFILE": "demo"}
    env = environment(lake.settings, base | home)
    # this lake's home has no Spark of its own
    defaults = Path(os.environ.get("NIGHTSHIFT_HOME", PROJECT / "var")) / "spark" / "spark-defaults.conf"
    env["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {defaults} --master {master} pyspark-shell"
    return env


def on_cluster(lake: Lake, *command: str) -> str:
    """Runs a Python command with its Spark on executors of their own."""
    env = job_environment(lake, CLUSTER)
    done = subprocess.run([sys.executable, *command], env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_executors_use_the_code_that_was_sent(lake: Lake) -> None:
    assert on_cluster(lake, "-c", WHERE_CODE_IS).split() == ["./nightshift.zip/models/scoring.py"]


def test_embedding_and_scoring_on_executors_of_their_own_give_the_same(lake: Lake) -> None:
    score(lake)
    local = staged(lake)
    vectors = lake.rows(ITEM_VECTORS)
    storage.replace(lake.frame(ITEM_VECTORS, []), lake.settings, ITEM_VECTORS, None)
    interval = ("--start", str(DS), "--end", str(END), "--run-id", "test")
    on_cluster(lake, "-m", "spark_jobs.embed_items", *interval)
    cluster_vectors = lake.rows(ITEM_VECTORS)
    assert [row["item_id"] for row in cluster_vectors] == [row["item_id"] for row in vectors]
    for ours, theirs in zip(vectors, cluster_vectors, strict=True):
        assert ours["vector"] == pytest.approx(theirs["vector"], abs=1e-5)
    on_cluster(lake, "-m", "spark_jobs.score_users", *interval)
    assert [[item["item_id"] for item in row["items"]] for row in staged(lake)] == [
        [item["item_id"] for item in row["items"]] for row in local
    ]
