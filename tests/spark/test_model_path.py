"""From events to staged lists with a real model: splits, fine-tuning, evaluation, embedding, scoring."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyspark.sql import SparkSession

from contracts import lake
from contracts.catalogue import Edition
from contracts.cli import RESULT_FILE, AsOf, read_result
from contracts.errors import InputError, ModelError
from contracts.fallback import FALLBACK_USER
from contracts.interval import midnight_seconds
from contracts.model_ids import judged
from contracts.prompt import budgets_of
from contracts.settings import PROJECT, Candidates, Gate, Settings, Tower, Training, WarmStart, load_settings
from contracts.settings import PairModel as PairSettings
from contracts.tables import (
    EVENTS,
    GAIN_OVER,
    ITEM_VECTORS,
    ITEMS,
    MODEL_DECISIONS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    RECOMMENDATIONS,
    staging,
)
from models import artifact, fine_tune, refit
from models.approximate import ApproximateIndex
from models.cost import Cost
from models.identity import model_id
from models.item_tower import ItemTower
from models.known_ids import Newcomers
from models.pair_model.network import PairModel
from models.pair_model.student import Student
from models.pair_model.use import UsablePair
from models.profile import Profile
from models.published import PublishedModel
from models.store import registry
from models.store.beginning import beginning_of
from models.store.snapshot import windows_of
from models.text_losses import TextLosses
from nightshift.lookups import incremental
from nightshift.lookups.rescoring import daily_counts, history
from nightshift.runtime.environment import environment
from spark_jobs import build_splits, embed_items, evaluate, score_users
from spark_jobs.scoring import embedding
from spark_jobs.scoring.carried import RULES
from spark_jobs.scoring.embedding import stale_items
from spark_jobs.scoring.package import pack
from spark_jobs.scoring.search import add_lists
from spark_jobs.scoring.worker import HISTORIES, Worker
from tests.factories import event, item, noon, publication
from tests.lakes import TINY_SPARK, SparkLake

END = date(2017, 3, 5)
DS = END - timedelta(days=1)
AS_OF = AsOf(as_of=END)
JUDGED = evaluate.Arguments(as_of=END)
USERS = 24
KINDS = ("milk", "bread", "apples", "coffee", "soap", "cheese")

TINY = """
[training.tower]
steps = 2
batch = 8
tuned_layers = 1
text_batch = 16
[training.encoder]
vector_size = 16
epochs = 1
negatives = 8
min_item_events = 1
[training.candidates]
match = 10
[training.ranker]
windows = 2
[scoring]
n = 5
users_per_batch = 7
[splits]
max_history = 200
"""


SHARED_TEXTS = {("soap", 2): "soap, size 1", ("cheese", 2): "coffee, size 2"}
"""The text of an item with events, and the text of another one that is new since training."""


def item_rows() -> list[dict[str, Any]]:
    """Three sizes of each kind; none of the largest was ever taken, and one of them cannot be sold."""
    return [
        item(
            f"i{number}{size}",
            text=SHARED_TEXTS.get((kind, size), f"{kind}, size {size}"),
            title=kind,
            category=kind.upper(),
            product_type=kind,
            available=(kind, size) != ("bread", 2),
        )
        for number, kind in enumerate(KINDS)
        for size in range(3)
    ]


def event_rows(visits: range = range(60, 0, -3)) -> list[dict[str, Any]]:
    """Users that come every few days, ``visits`` days before the end, and mostly take their two kinds."""
    rows = []
    draw = random.Random(3)
    for user in range(USERS):
        for days in visits:
            for nth in range(2):
                kind = (user + nth) % len(KINDS) if draw.random() < 0.8 else draw.randrange(len(KINDS))
                taken = f"i{kind}{draw.randrange(2)}"
                session = f"s{user}-{days}"
                rows.append(event(f"u{user:02d}", taken, noon(END - timedelta(days=days)), session_id=session))
                rows[-1]["event_id"] = f"{session}-{nth}"
    return rows


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkLake:
    """A lake with a trained, evaluated champion and its item vectors."""
    home = tmp_path_factory.mktemp("home")
    (home / "nightshift.toml").write_text(TINY)
    settings = load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})
    made = SparkLake(settings, spark)
    made.write(ITEMS, item_rows())
    made.write(EVENTS, event_rows())
    build_splits.run(spark, settings, AS_OF)
    fine_tune.run(settings, AS_OF)
    evaluate.run(spark, settings, JUDGED)
    return made


def test_two_weeks_of_logs_give_a_model_and_lists(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "nightshift.toml").write_text(TINY)
    settings = load_settings({"NIGHTSHIFT_HOME": str(tmp_path), "NIGHTSHIFT_PROFILE": "demo"})
    young = SparkLake(settings, spark)
    young.write(ITEMS, item_rows())
    young.write(EVENTS, event_rows(range(14, 0, -1)))
    build_splits.run(spark, settings, AS_OF)
    assert windows_of(settings, END).window_days == 1
    fine_tune.run(settings, AS_OF)
    evaluate.run(spark, settings, JUDGED)
    assert [row["passed"] for row in young.rows(MODEL_DECISIONS) if not row["rival"]] == [True]
    score(young)
    assert {len(row["items"]) for row in staged(young)} == {5}
    assert len(staged(young)) == USERS + 1


def champion(settings: Settings) -> Path:
    return registry.folder_of(settings, registry.CHAMPION)


def staged(tables: SparkLake) -> list[dict[str, Any]]:
    return tables.rows(staging(RECOMMENDATIONS, DS))


def test_the_model_folder_is_safetensors_and_json_and_verifies(tables: SparkLake) -> None:
    folder = champion(tables.settings)
    about = artifact.verify(folder)
    assert about["model_id"] == folder.name
    assert {Path(name).suffix for name in about["files"]} <= {".safetensors", ".json", ".txt", ".jinja"}
    curves = json.loads((folder / "training.json").read_text())["curves"]
    assert {"tower_loss", "tower_validation", "encoder_validation"} <= set(curves)


def test_the_folder_tells_what_the_training_cost_and_looked_like(tables: SparkLake) -> None:
    folder = champion(tables.settings)
    cost, profile = Cost.of_model(folder), Profile.load(folder)
    assert cost
    assert list(cost.parts) == ["Item tower", "User encoder", "Ranker", "Newest events"]
    assert sum(cost.parts.values()) < cost.seconds
    assert profile
    assert profile.end == END - timedelta(days=7)
    inside = [row for row in event_rows() if profile.first <= row["ds"] < profile.end]
    assert profile.events == len(inside)
    assert profile.behaviours["purchase"] == len(inside)
    users = sorted({row["user_id"] for row in event_rows()})
    assert profile.users.newcomers([*users, "nobody"], np.array([1] * len(users) + [3])) == Newcomers(3, len(users) + 3)


def test_the_folder_tells_what_the_tower_did_not_read(tables: SparkLake) -> None:
    losses = TextLosses.of_model(champion(tables.settings))
    assert losses
    assert (losses.items, losses.longer, losses.unknown) == (len(item_rows()), 0, 0)
    assert losses.cut == dict.fromkeys(budgets_of(tables.settings.ingest.item_text), 0)


def test_the_same_snapshot_is_not_trained_twice(tables: SparkLake) -> None:
    folder = champion(tables.settings)
    written = (folder / artifact.MANIFEST).stat().st_mtime_ns
    assert fine_tune.run(tables.settings, AS_OF) == folder.name
    assert (folder / artifact.MANIFEST).stat().st_mtime_ns == written


def origin(settings: Settings) -> dict[str, str]:
    """What the model that the tables of this lake give now would be made from."""
    return fine_tune.origin_of(settings, fine_tune.read(settings, windows_of(settings, END)))


def test_corrected_logs_other_texts_and_other_settings_give_another_model(tables: SparkLake) -> None:
    settings = tables.settings
    first = origin(settings)
    assert model_id(END, first) == champion(settings).name
    renamed = item_rows()
    renamed[0] |= {"text": "oat drink"}
    tables.write(ITEMS, renamed)
    # the catalogue is that of the snapshot until there is another snapshot
    assert origin(settings) == first
    build_splits.run(tables.spark, settings, AS_OF)
    with_other_text = origin(settings)
    tables.write(ITEMS, item_rows())
    tables.write(EVENTS, event_rows()[2:])
    build_splits.run(tables.spark, settings, AS_OF)
    corrected = origin(settings)
    tables.write(EVENTS, event_rows())
    build_splits.run(tables.spark, settings, AS_OF)
    fewer = settings.training.model_copy(update={"candidates": Candidates(match=9)})
    with_other_settings = origin(settings.model_copy(update={"training": fewer}))
    others = {"catalogue": with_other_text, "snapshot": corrected, "settings": with_other_settings}
    assert {name: [key for key in first if other[key] != first[key]] for name, other in others.items()} == {
        name: [name] for name in others
    }
    assert len({model_id(END, each) for each in (first, *others.values())}) == 4
    assert origin(settings) == first


def test_a_damaged_model_is_fitted_anew(tables: SparkLake, tmp_path: Path) -> None:
    other = tables.settings.model_copy(update={"home": tmp_path})
    shutil.copytree(tables.settings.lake, other.lake)
    folder = other.models / champion(tables.settings).name
    shutil.copytree(champion(tables.settings), folder)
    (folder / "encoder.safetensors").write_bytes(b"half")
    assert fine_tune.run(other, AS_OF) == folder.name
    artifact.verify(folder)


def test_the_evaluation_compares_with_every_baseline(tables: SparkLake) -> None:
    rows = [row for row in tables.rows(MODEL_EVALUATIONS) if (row["segment"], row["metric"]) == ("all", "ndcg@10")]
    name = champion(tables.settings).name
    assert {row["model_id"] for row in rows} == {
        name,
        f"text_before_tuning/{name}",
        f"text_after_tuning/{name}",
        "baseline/popular_7_days",
        "baseline/own_repeats_90_days",
        "baseline/item_knn",
        "baseline/next_basket",
        "baseline/als",
    }
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in rows)
    # users of this shop repeat themselves, so that even a tiny model must see more than the popular list
    values = {row["model_id"]: row["value"] for row in rows}
    assert values[name] > values["baseline/popular_7_days"]


def test_the_gate_says_what_it_looked_at_in_a_table_and_in_the_registry(tables: SparkLake) -> None:
    name = champion(tables.settings).name
    rows = {row["rival"]: row for row in tables.rows(MODEL_DECISIONS) if row["model_id"] == name}
    # the first model of this shop has to beat the popular list; the best baseline is looked at too
    assert "baseline/popular_7_days" in rows
    assert rows["baseline/popular_7_days"]["passed"]
    assert rows["baseline/popular_7_days"]["ci_low"] > rows["baseline/popular_7_days"]["bound"]
    assert rows[""]["passed"]
    assert rows[""]["why"].startswith("promoted: ")
    mlflow = registry.client(tables.settings)
    tags = next(
        each.tags for each in mlflow.search_model_versions("name = 'nightshift'") if each.tags["model_id"] == name
    )
    assert tags["gate"] == rows[""]["why"]


def test_a_challenger_that_loses_stays_out_and_the_champion_stays(tables: SparkLake) -> None:
    settings, model = tables.settings, champion(tables.settings)
    # the bound is such that nobody can pass it
    strict = settings.model_copy(update={"gate": Gate(max_loss=0.0, max_coverage_loss=0.0)})
    ranker = settings.training.ranker.model_copy(update={"epochs": 1, "min_steps": 0, "learning_rate": 1e-9})
    weak = strict.model_copy(update={"training": settings.training.model_copy(update={"ranker": ranker})})
    name = fine_tune.run(weak, AS_OF)
    try:
        assert not evaluate.run(tables.spark, weak, evaluate.Arguments(as_of=END, model=name))
        assert champion(settings) == model
        rows = [row for row in tables.rows(MODEL_DECISIONS) if row["model_id"] == name]
        decision = next(row for row in rows if not row["rival"])
        assert (decision["passed"], decision["why"][:10]) == (False, "kept out: ")
        assert any(row["critical"] and not row["passed"] for row in rows if row["rival"])
        assert {row["rival"] for row in rows} >= {"", model.name}
    finally:
        fine_tune.run(settings, AS_OF)
        evaluate.run(tables.spark, settings, evaluate.Arguments(as_of=END, model=model.name))


def evaluated(tables: SparkLake) -> list[dict[str, Any]]:
    """What the evaluation found, but of ALS, which Spark does not fit twice alike."""
    return [row for row in tables.rows(MODEL_EVALUATIONS) if row["model_id"] != "baseline/als"]


def test_neither_a_night_that_writes_nor_another_challenger_changes_what_is_judged(tables: SparkLake) -> None:
    settings, model = tables.settings, champion(tables.settings)
    before, vectors = evaluated(tables), tables.rows(ITEM_VECTORS)
    mlflow = registry.client(settings)
    registry.register(settings, mlflow, "another", registry.start_run(mlflow, "another", settings.training, {}))
    # of what was popular nothing is left, and the catalogue has other texts and lacks an item
    tables.write(EVENTS, [row | {"item_id": "i52"} for row in event_rows()[::2]])
    tables.write(ITEMS, [row | {"text": "soup", "text_hash": "s", "available": False} for row in item_rows()[1:]])
    try:
        assert fine_tune.run(settings, AS_OF) == model.name
        registry.register(settings, mlflow, "another", "", registry.CHALLENGER)
        # nothing but what it gained over the rival that it had: it is the champion now
        won = [row for row in before if row["segment"].startswith(GAIN_OVER)]
        assert (model.name, "gain over baseline/popular_7_days") in [(row["model_id"], row["segment"]) for row in won]
        tables.write(MODEL_EVALUATIONS, won)
        assert evaluate.run(tables.spark, settings, evaluate.Arguments(as_of=END, model=model.name))
        assert evaluated(tables) == before
        assert tables.rows(ITEM_VECTORS) == vectors
        with pytest.raises(ModelError, match="another has no manifest"):
            evaluate.run(tables.spark, settings, JUDGED)
    finally:
        tables.write(EVENTS, event_rows())
        tables.write(ITEMS, item_rows())
        fine_tune.run(settings, AS_OF)


def test_a_model_of_another_snapshot_is_not_judged(tables: SparkLake) -> None:
    settings, model = tables.settings, champion(tables.settings)
    day_before = END - timedelta(days=1)
    build_splits.run(tables.spark, settings, AsOf(as_of=day_before))
    with pytest.raises(
        ModelError, match=rf"{model.name} was made from snapshot 2017-03-05-7d-\w+, .* as of 2017-03-04"
    ):
        evaluate.run(tables.spark, settings, evaluate.Arguments(as_of=day_before, model=model.name))


def test_a_run_that_trained_no_model_does_not_judge_another_one(tables: SparkLake) -> None:
    with pytest.raises(ModelError, match="fine_tune of this run has given none"):
        evaluate.run(tables.spark, tables.settings, evaluate.Arguments(as_of=END, model=""))


def test_every_item_has_a_vector_and_equal_texts_of_new_items_have_the_same(tables: SparkLake) -> None:
    rows = {row["item_id"]: row for row in tables.rows(ITEM_VECTORS)}
    assert set(rows) == {row["item_id"] for row in item_rows()}
    assert all(0 < sum(x * x for x in row["vector"]) < np.inf for row in rows.values())
    # without an id embedding a vector is the text's alone
    assert rows["i32"]["vector"] == rows["i52"]["vector"]
    assert rows["i32"]["vector"] != rows["i02"]["vector"]
    # i41 has events: its id embedding moves it away from the item with the same text
    assert rows["i42"]["vector"] != rows["i41"]["vector"]


def vectors(tables: SparkLake) -> dict[tuple[str, str], list[float]]:
    return {(row["item_id"], row["text_hash"]): row["vector"] for row in tables.rows(ITEM_VECTORS)}


def test_only_a_changed_text_is_embedded_again(tables: SparkLake, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, name = tables.settings, champion(tables.settings).name
    before = vectors(tables)
    arguments = embed_items.Arguments(ds=DS, model=name)
    assert embed_items.without_spark(settings, arguments) == {"items encoded": 0, "items reused": 18}
    changed = item_rows()
    changed[0] |= {"text": "oat drink with vanilla, for coffee", "text_hash": "a hash"}
    pinned = lake.version(settings, ITEMS)
    tables.write(ITEMS, changed)
    assert stale_items(settings, name, Edition(DS, pinned)).num_rows == 0
    assert stale_items(settings, name, Edition(DS))["item_id"].to_pylist() == ["i00"]
    with monkeypatch.context() as patched:
        patched.setattr(embedding, "FEW_TEXTS", 0)
        assert embed_items.without_spark(settings, arguments) is None
    assert vectors(tables) == before
    assert embed_items.without_spark(settings, arguments) == {"items encoded": 1, "items reused": 17}
    # an evaluation of the older text finds its vector still there
    assert stale_items(settings, name, Edition(DS, pinned)).num_rows == 0
    after = vectors(tables)
    assert {key for key in after if key not in before} == {("i00", "a hash")}
    assert {key: after[key] for key in before} == before
    # a text is cut where it was cut in training, whatever the settings say today
    changed[0] |= {"text_hash": "another hash"}
    tables.write(ITEMS, changed)
    shorter = settings.model_copy(update={"training": Training(tower=Tower(max_tokens=4))})
    embed_items.run(tables.spark, shorter, embed_items.Arguments(ds=DS, model=name))
    cut_as_before = vectors(tables)
    assert cut_as_before["i00", "another hash"] == pytest.approx(after["i00", "a hash"], abs=1e-5)
    tables.write(ITEMS, item_rows())
    # of a text that comes back the vector is still there
    assert embed_items.without_spark(settings, embed_items.Arguments(ds=DS, model=name))


def score(tables: SparkLake, settings: Settings | None = None) -> None:
    score_users.run(tables.spark, settings or tables.settings, score_users.Arguments(ds=DS, run_id="test"))


def test_everyone_gets_n_available_items_and_the_same_twice(tables: SparkLake) -> None:
    score(tables)
    first = staged(tables)
    assert [row["user_id"] for row in first] == [FALLBACK_USER, *(f"u{user:02d}" for user in range(USERS))]
    for row in first:
        ids = [item["item_id"] for item in row["items"]]
        assert len(set(ids)) == 5
        assert "i12" not in ids  # not available
        assert [item["rank"] for item in row["items"]] == [1, 2, 3, 4, 5]
    score(tables)
    assert staged(tables) == first


def test_approximate_search_brings_its_lists_and_tells_what_it_found(tables: SparkLake, tmp_path: Path) -> None:
    score(tables)
    exact = staged(tables)
    scoring = tables.settings.scoring.model_copy(update={"search": "approximate", "blocked_items": ("i00",)})
    package = tmp_path / "package"
    pack(tables.settings, champion(tables.settings), daily_counts(tables.settings, END), Edition(DS), package)
    add_lists(package, tables.settings.scoring)
    assert not list(package.glob("*.faiss"))
    add_lists(package, scoring)
    worker = Worker.open(package, scoring, midnight_seconds(END))
    for index in (worker.state.matching, worker.state.matching_texts):
        assert isinstance(index, ApproximateIndex)
        assert index.lists.ntotal == len(item_rows()) - 2  # neither what is sold out nor what is blocked
    approximate = tables.settings.model_copy(update={"scoring": scoring.model_copy(update={"blocked_items": ()})})
    counts = score_users.run(tables.spark, approximate, score_users.Arguments(ds=DS, run_id="test"))
    # so few items are in one list, into which everyone looks
    assert staged(tables) == exact
    # ten by vectors, and by text all that can be sold; nothing of the row for whoever has none
    both_ways = USERS * (tables.settings.training.candidates.match + len(item_rows()) - 1)
    assert counts == {
        "users scored": USERS,
        "users carried": 0,
        "users searched both ways": USERS + 1,
        "matches of exact search": both_ways,
        "of these found": both_ways,
    }


def test_lists_carried_over_are_those_of_then_and_all_others_those_of_a_full_night(tables: SparkLake) -> None:
    before = DS - timedelta(days=1)
    active = [event(f"u{user:02d}", "i00", noon(DS)) | {"event_id": f"active-{user}"} for user in range(5)]
    tables.write(EVENTS, [*event_rows(), *active])
    score_users.run(tables.spark, tables.settings, score_users.Arguments(ds=before, run_id="test"))
    then = tables.rows(staging(RECOMMENDATIONS, before))
    note = {"ds": before, RULES: tables.settings.scoring.rules_hash}
    tables.write(RECOMMENDATIONS, then, note=note)
    model = then[0]["model_id"]
    night = publication(DS, model_id=model)
    tables.write(PUBLICATIONS, [publication(before, model_id=model), night])
    found = incremental.compare(tables.spark, tables.settings, night, idle_days=1, idle_nights=1000)
    assert (found.scored, found.carried, found.alone, found.wrong) == (5, USERS - 5, 0, ())
    assert found.holds
    assert 0 < found.overlap <= 1
    assert found.seconds > 0
    # a list that says to be of a night that has none like it
    old = {"scored_ds": DS - timedelta(days=2)}
    tables.write(RECOMMENDATIONS, [row | old if row["user_id"] == "u23" else row for row in then], note=note)
    found = incremental.compare(tables.spark, tables.settings, night, idle_days=1, idle_nights=1000)
    assert not found.holds
    assert (found.carried, found.as_published, len(found.wrong)) == (USERS - 5, USERS - 6, 1)
    with pytest.raises(InputError, match="No list is carried into the night"):
        incremental.compare(tables.spark, tables.settings, night, idle_days=30, idle_nights=1000)
    tables.write(EVENTS, event_rows())
    tables.write(RECOMMENDATIONS, [])
    tables.write(PUBLICATIONS, [])


def test_events_after_the_night_change_nothing(tables: SparkLake) -> None:
    score(tables)
    first = staged(tables)
    late = event_rows()[0] | {"event_id": "late", "item_id": "i55", "ds": END}
    late["event_time"] = datetime(END.year, END.month, END.day, 1, tzinfo=UTC)
    tables.write(EVENTS, [*event_rows(), late])
    score(tables)
    assert staged(tables) == first
    tables.write(EVENTS, event_rows())


def test_nobody_gets_again_what_lies_beyond_the_history(tables: SparkLake) -> None:
    settings = tables.settings
    strict = settings.model_copy(update={
        "splits": settings.splits.model_copy(update={"max_history": 3}),
        "scoring": settings.scoring.model_copy(update={"exclude_seen_days": {"purchase": 3650}}),
    })  # fmt: skip
    score(tables, strict)
    had: dict[str, set[str]] = {}
    for row in event_rows():
        had.setdefault(row["user_id"], set()).add(row["item_id"])
    lists = {row["user_id"]: {item["item_id"] for item in row["items"]} for row in staged(tables)}
    assert len(lists.pop(FALLBACK_USER)) == 5  # nobody had what is on it
    assert lists.keys() == had.keys()
    assert all(len(lists[user]) == 5 and not lists[user] & had[user] for user in had)


def test_who_has_no_event_that_says_anything_gets_the_list_of_who_has_none(tables: SparkLake) -> None:
    settings = tables.settings
    rules = settings.model_copy(update={
        "ingest": settings.ingest.model_copy(update={"behaviours": {"purchase": 1.0, "look": 0.0}}),
        "scoring": settings.scoring.model_copy(update={
            "max_per_category": 1, "exclude_seen_days": {"look": 30}, "explore": 0.4,
            "blocked_categories": ("SOAP",),
        }),
    })  # fmt: skip
    noticed = [row["item_id"] for row in event_rows()]
    best = max(sorted(set(noticed)), key=lambda each: (not each.startswith("i4"), noticed.count(each)))
    moment = noon(END - timedelta(days=2))
    tables.write(EVENTS, [
        *event_rows(),
        event("gone", "left the catalogue", moment),
        event("looks", "i02", moment, "look"),
        # its model knows no such behaviour, but the rules do
        event("looked", "i01", moment, "look"), event("looked", "i11", moment, "look"),
        event("tomorrow", "i01", noon(END)),
    ])  # fmt: skip
    score(tables, rules)
    lists = {row["user_id"]: row["items"] for row in staged(tables)}
    tables.write(EVENTS, event_rows())
    spare = lists[FALLBACK_USER]
    assert [(item["rank"], item["score"], item["source"], item["because"]) for item in spare] == [
        (rank + 1, spare[rank]["score"], "fallback", None) for rank in range(5)
    ]
    assert spare[0]["score"] == 0.0
    # the best of five categories that may be shown: the sixth is blocked, and so is no place for what is new
    assert len({item["item_id"][1] for item in spare}) == 5
    assert "4" not in {item["item_id"][1] for item in spare}
    assert spare[0]["item_id"] == best
    assert "tomorrow" not in lists
    assert lists["gone"] == lists["looks"] == spare
    looked = lists["looked"]
    assert {item["source"] for item in looked} == {"fallback"}
    assert not {"i01", "i11"} & {item["item_id"] for item in looked}
    assert all(item["source"] != "fallback" for user in range(USERS) for item in lists[f"u{user:02d}"])


def test_a_missing_vector_stops_scoring_with_what_to_do(tables: SparkLake) -> None:
    tables.write(ITEMS, [*item_rows(), item_rows()[0] | {"item_id": "new"}])
    with pytest.raises(ModelError, match=r"lacks 1 of 19 items .* run spark_jobs.embed_items first"):
        score(tables)
    tables.write(ITEMS, item_rows())


def test_a_changed_model_file_is_refused(tables: SparkLake, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in champion(tables.settings).iterdir():
        if file.is_file():
            (broken / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=r"tower/\S+ is missing"):
        pack(tables.settings, broken, pa.table({}), Edition(DS), tmp_path / "package")


@pytest.mark.parametrize("use", ["rerank", "distilled"])
def test_a_worker_reorders_by_the_pair_model_of_its_package(tables: SparkLake, tmp_path: Path, use: str) -> None:
    plain, model = champion(tables.settings), PublishedModel.load(champion(tables.settings))
    folder = tmp_path / plain.name
    shutil.copytree(plain, folder)
    own = PairSettings.model_validate({"use": use, "max_tokens": 24, "best": 10, "reranked": 10})
    settings = model.settings.model_copy(update={"pair_model": own})
    replace(model, about=model.about | {"settings": settings.model_dump()}).save(folder)
    torch.manual_seed(0)
    says = (
        Student(settings.features.text_size, 8)
        if use == "distilled"
        else PairModel(ItemTower.load(folder / "tower", 24))
    )
    if isinstance(says, PairModel):
        torch.nn.init.normal_(says.head.weight)
    UsablePair(says, 3.0).save(folder)
    artifact.write_manifest(folder, {"model_id": plain.name, "mlflow_run": "", "base": ""})
    embed_items.run(tables.spark, tables.settings, embed_items.Arguments(ds=DS))
    counts = daily_counts(tables.settings, END)
    rows = [history(tables.settings, f"u{user:02d}", END) for user in range(USERS)]
    lists = []
    for name, each in (("plain", plain), ("pair", folder)):
        pack(tables.settings, each, counts, Edition(DS), tmp_path / name)
        worker = Worker.open(tmp_path / name, tables.settings.scoring, midnight_seconds(END))
        lists.append(worker.lists_of(pa.Table.from_pylist(rows, schema=HISTORIES)).to_pylist())
    assert (tmp_path / "pair" / artifact.PAIR_MODEL).is_dir() == (use == "rerank")
    ids = [[[item["item_id"] for item in row["items"]] for row in each] for each in lists]
    assert ids[0] != ids[1]
    assert all(len(set(row)) == 5 for row in ids[1])


def test_an_unknown_snapshot_is_named(tables: SparkLake) -> None:
    with pytest.raises(InputError, match=r"has no snapshot as of 2016-01-01: run the step build_splits"):
        fine_tune.run(tables.settings, AsOf(as_of=date(2016, 1, 1)))


def test_a_killed_scoring_leaves_nothing_half_done(tables: SparkLake) -> None:
    score(tables)
    whole = staged(tables)
    versions = lake.version(tables.settings, staging(RECOMMENDATIONS, DS))
    command = [sys.executable, "-m", "spark_jobs.score_users", "--ds", str(DS)]
    killed = subprocess.Popen(
        command, env=job_environment(tables, "local[2]"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert killed.stderr
    assert any("Scoring users" in line for line in killed.stderr)  # the executors are at work now
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert lake.version(tables.settings, staging(RECOMMENDATIONS, DS)) == versions
    assert staged(tables) == whole
    score(tables)
    assert staged(tables) == whole


CLUSTER = "local-cluster[2,1,1024]"
"""Two executor processes of their own, which have only what is sent to them."""

ON_CLUSTER = """
import sys
from datetime import date

from contracts.settings import load_settings
from spark_jobs import embed_items, score_users
from spark_jobs.cluster.session import session

def where(frames):
    import models.kernel, pandas
    for frame in frames:
        yield pandas.DataFrame({"file": [models.kernel.__file__]})

settings = load_settings()
with session("cluster", settings) as spark:
    files = {row.file for row in spark.range(4).repartition(4).mapInPandas(where, "file string").collect()}
    embed_items.run(spark, settings, embed_items.Arguments(ds=date.fromisoformat(sys.argv[1])))
    score_users.run(spark, settings, score_users.Arguments(ds=date.fromisoformat(sys.argv[1]), run_id="test"))
print("\\n".join(sorted(files)))
"""
"""One application for all that is looked at: its executors take long to start and to import torch."""


def job_environment(tables: SparkLake, master: str) -> dict[str, str]:
    """Variables for a job in a process of its own, with this lake and another Spark master."""
    env = environment(tables.settings, os.environ)
    options = TINY_SPARK | {
        "spark.master": master,
        "spark.executor.extraJavaOptions": f"-Xss4m {env['SPARK_SUBMIT_OPTS']}",
        # no larger than a worker of CLUSTER, or none is ever started
        "spark.executor.cores": "1",
        "spark.executor.memory": "1g",
    }
    # this lake's home has no Spark of its own
    defaults = Path(os.environ.get("NIGHTSHIFT_HOME", PROJECT / "var")) / "spark" / "spark-defaults.conf"
    given = shlex.join(f"--conf={name}={value}" for name, value in options.items())
    env["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {defaults} {given} pyspark-shell"
    return env


@dataclass(frozen=True)
class OnCluster:
    """What came of the same work in this process and on executors of their own."""

    code: list[str]  # files that the executors' code came from
    vectors: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    lists: tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def on_cluster(tables: SparkLake) -> OnCluster:
    """Embedding everything anew and scoring, with Spark's executors in processes of their own."""
    score(tables)
    lists, vectors = staged(tables), tables.rows(ITEM_VECTORS)
    tables.write(ITEM_VECTORS, [])
    command = [sys.executable, "-c", ON_CLUSTER, str(DS)]
    env = job_environment(tables, CLUSTER)
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return OnCluster(done.stdout.split(), (vectors, tables.rows(ITEM_VECTORS)), (lists, staged(tables)))


def test_executors_use_the_code_that_was_sent(on_cluster: OnCluster) -> None:
    assert on_cluster.code == ["./nightshift.zip/models/kernel.py"]


def test_embedding_on_executors_of_their_own_gives_the_same(on_cluster: OnCluster) -> None:
    # before it there were also vectors of the texts that items had in the tests above
    local, cluster = ({(row["item_id"], row["text_hash"]): row for row in rows} for rows in on_cluster.vectors)
    assert {item for item, _ in cluster} == {row["item_id"] for row in item_rows()}
    for key, theirs in cluster.items():
        assert local[key]["vector"] == pytest.approx(theirs["vector"], abs=1e-5)


def test_scoring_on_executors_of_their_own_gives_the_same(on_cluster: OnCluster) -> None:
    local, cluster = ([[item["item_id"] for item in row["items"]] for row in rows] for rows in on_cluster.lists)
    assert local
    assert cluster == local


def test_a_night_that_is_told_no_model_uses_that_of_its_time(
    tables: SparkLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings, own = tables.settings, champion(tables.settings).name
    mlflow = registry.client(settings)
    registry.register(settings, mlflow, "2017-03-12-later", registry.start_run(mlflow, "later", settings.training, {}))
    assert registry.promote(mlflow, "2017-03-12-later")
    result = tmp_path / "result.json"
    monkeypatch.setenv(RESULT_FILE, str(result))
    try:
        assert embed_items.without_spark(settings, embed_items.Arguments(ds=DS))
        assert read_result(result) == {"model_id": own}
        result.unlink()
        embed_items.run(tables.spark, settings, embed_items.Arguments(ds=DS))
        assert read_result(result) == {"model_id": own}
        score(tables)
        assert {row["model_id"] for row in staged(tables)} == {own}
    finally:
        make_champion(settings, own)


def make_champion(settings: Settings, name: str) -> None:
    """Gives a model the alias, whichever has it."""
    mlflow = registry.client(settings)
    (version,) = (each for each in mlflow.search_model_versions() if each.tags["model_id"] == name)
    mlflow.set_registered_model_alias(registry.NAME, registry.CHAMPION, version.version)


def test_a_promoted_model_learns_the_days_that_it_was_judged_by(tables: SparkLake) -> None:
    settings, own = tables.settings, champion(tables.settings)
    before = evaluated(tables)
    arguments = refit.Arguments(as_of=END, model=own.name)
    name = refit.run(settings, arguments)
    assert name is not None
    try:
        assert (judged(name), registry.champion(settings)) == (own.name, name)
        folder = settings.models / name
        artifact.verify(folder)
        old, new = PublishedModel.load(own), PublishedModel.load(folder)
        # each of the users came once or twice more
        assert new.items.habits.of_items.events_per_user.sum() > old.items.habits.of_items.events_per_user.sum()
        assert not torch.equal(new.encoder.id_embedding.weight, old.encoder.id_embedding.weight)
        assert new.about["refitted_from"] == own.name
        for kept in ("ranker.safetensors", "text_vectors.safetensors", "tower/model.safetensors"):
            assert artifact.file_hash(folder / kept) == artifact.file_hash(own / kept)
        # again, as after a kill between two steps: nothing is trained, and it is the champion still
        made_at = (folder / artifact.MANIFEST).stat().st_mtime_ns
        assert refit.run(settings, arguments) == name
        assert (folder / artifact.MANIFEST).stat().st_mtime_ns == made_at
        # it knows the test window: judged is the model that does not
        assert evaluate.run(tables.spark, settings, evaluate.Arguments(as_of=END, model=own.name))
        assert evaluated(tables) == before
        assert registry.champion(settings) == name
        embed_items.run(tables.spark, settings, embed_items.Arguments(ds=DS))
        score(tables)
        assert {row["model_id"] for row in staged(tables)} == {name}
        with pytest.raises(ModelError, match="is refitted already"):
            refit.run(settings, refit.Arguments(as_of=END, model=name))
    finally:
        make_champion(settings, own.name)


def test_a_weekly_run_goes_on_from_the_champion_as_it_was_judged(
    tables: SparkLake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nightshift")
    own = champion(tables.settings)
    warm = WarmStart(enabled=True, passes=1)
    settings = tables.settings.model_copy(
        update={"training": tables.settings.training.model_copy(update={"warm_start": warm})}
    )
    next_day = AsOf(as_of=END + timedelta(days=1))
    build_splits.run(tables.spark, settings, next_day)
    assert refit.run(settings, refit.Arguments(as_of=END, model=own.name))
    try:
        name = fine_tune.run(settings, next_day)
        folder = settings.models / name
        about, told = PublishedModel.load(folder).about, artifact.told_of_training(folder)
        for each in (about, told):
            assert (each["started_from"], each["warm_starts_in_a_row"]) == (own.name, 1)
        assert about["made_from"]["started_from"] == own.name
        mlflow = registry.client(settings)
        assert mlflow.get_run(artifact.verify(folder)["mlflow_run"]).data.tags["started_from"] == own.name
        assert artifact.file_hash(folder / "tower/model.safetensors") == artifact.file_hash(
            own / "tower/model.safetensors"
        )
        # from the same champion it is the same model; without one another
        made_at = (folder / artifact.MANIFEST).stat().st_mtime_ns
        assert fine_tune.run(settings, next_day) == name
        assert (folder / artifact.MANIFEST).stat().st_mtime_ns == made_at
        data = fine_tune.read(settings, windows_of(settings, next_day.as_of))
        origin = about["made_from"]
        assert model_id(next_day.as_of, {key: origin[key] for key in origin if key != "started_from"}) != name

        def why(end: date, base: str) -> str:
            caplog.clear()
            assert beginning_of(settings, data, end, base) is None
            (line,) = [each.message for each in caplog.records if each.message.startswith("Training from scratch")]
            return line

        base = origin["base model"]
        assert why(END, base).endswith("no model was promoted before the snapshot of 2017-03-05.")
        assert why(next_day.as_of, "another").endswith("the pre-trained model was another one.")
        own.rename(own.with_suffix(".away"))
        assert f"not from {own.name}: " in why(next_day.as_of, base)
    finally:
        if not own.exists():
            own.with_suffix(".away").rename(own)
        make_champion(tables.settings, own.name)
        fine_tune.run(tables.settings, AS_OF)


def test_a_model_that_was_kept_out_is_not_refitted(tables: SparkLake) -> None:
    settings, own = tables.settings, champion(tables.settings)
    mlflow = registry.client(settings)
    (version,) = (each for each in mlflow.search_model_versions() if each.tags["model_id"] == own.name)
    mlflow.delete_model_version_tag(registry.NAME, version.version, registry.PROMOTED)
    there = {folder.name for folder in settings.models.iterdir()}
    try:
        assert refit.run(settings, refit.Arguments(as_of=END, model=own.name)) is None
        assert {folder.name for folder in settings.models.iterdir()} == there
    finally:
        mlflow.set_model_version_tag(registry.NAME, version.version, registry.PROMOTED, "true")
