"""The DAG files: they load fast, import nothing heavy, and are wired as the design says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.pools import POOLS
from contracts.settings import PROJECT
from contracts.tables import NIGHT_STEPS, TABLES

NIGHTLY, WEEKLY, WATCH = "nightly_recommendations", "fine_tune_model", "watch_nights"


@pytest.fixture(scope="module")
def described(airflow_environ: dict[str, str]) -> dict[str, Any]:
    """What Airflow finds in the DAG folder, loaded in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "cases" / "describe.py"), PROJECT / "dags"],
        env=airflow_environ,
        capture_output=True,
        text=True,
        check=True,
    )
    description: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return description


@pytest.fixture(scope="module")
def tasks(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All tasks as `dag.task`."""
    return {
        f"{dag_id}.{task_id}": task
        for dag_id, dag in described["dags"].items()
        for task_id, task in dag["tasks"].items()
    }


def test_loads_exactly_the_dags_without_errors(described: dict[str, Any]) -> None:
    assert described["import_errors"] == {}
    assert sorted(described["dags"]) == [WEEKLY, NIGHTLY, WATCH]


def test_parsing_is_fast_and_imports_nothing_heavy(described: dict[str, Any]) -> None:
    assert described["heavy"] == []
    assert all(seconds < 1 for seconds in described["seconds"].values()), described["seconds"]


def test_edges(described: dict[str, Any]) -> None:
    edges = {
        dag_id: {name: task["downstream"] for name, task in dag["tasks"].items()}
        for dag_id, dag in described["dags"].items()
    }
    assert edges == {
        NIGHTLY: {
            "wait_for_logs": ["land_events"],
            "land_events": ["clean_events"],
            "clean_events": ["validate"],
            "validate": ["choose_model"],
            "choose_model": ["embed_items", "fine_tune_model", "measure_drift"],
            "measure_drift": ["start_fine_tuning", "write_report"],
            "fine_tune_model": ["embed_items"],
            "embed_items": ["score_users"],
            "score_users": ["publish"],
            "publish": ["write_report"],
            "write_report": ["start_fine_tuning"],
            "start_fine_tuning": ["drift_done"],
            "drift_done": [],
        },
        WEEKLY: {
            "wait_for_night": ["build_splits"],
            "build_splits": ["fine_tune"],
            "fine_tune": ["evaluate"],
            "evaluate": ["refit"],
            "refit": [],
        },
        WATCH: {"ask": []},
    }


def test_schedules(described: dict[str, Any]) -> None:
    for dag in described["dags"].values():
        assert dag["timetable"] == "CronDataIntervalTimetable"
        assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)
        # a run before it would end as a success in which nothing ran
        assert dag["start_date"] == "1970-01-01 00:00:00+00:00"
        assert dag["doc"].strip().startswith("### ")
        assert "nightshift" in dag["tags"]


def test_a_night_is_five_spark_applications(tasks: dict[str, dict[str, Any]]) -> None:
    spark = [name for name, task in tasks.items() if task["type"] == "SparkJob" and name.startswith(NIGHTLY)]
    assert len(spark) == 5


def test_writers_take_the_pool_of_their_table_and_name_it_as_outlet(tasks: dict[str, dict[str, Any]]) -> None:
    writing = {
        name.split(".")[1]: (task["pool"], task["outlets"])
        for name, task in tasks.items()
        if task["pool"] != "default_pool"
    }
    assert writing == {
        "validate": (
            "write_events",
            [
                "events",
                "events_rejected",
                "events_repeated",
                "ingest_counts",
                "ingest_files",
                "items",
                "items_rejected",
                "quality_results",
            ],
        ),
        "measure_drift": ("write_drift_results", ["drift_results"]),
        "embed_items": ("write_item_vectors", ["item_vectors"]),
        "score_users": ("write_recommendations", []),
        "publish": ("write_recommendations", ["publications", "quality_results", "recommendations"]),
        "write_report": ("write_hindsight_results", ["hindsight_results"]),
        "build_splits": ("write_sequences", ["sequences"]),
        "fine_tune": ("gpu", []),
        "refit": ("gpu", []),
        "evaluate": ("write_item_vectors", ["item_vectors", "model_decisions", "model_evaluations"]),
    }
    assert {pool for pool, _ in writing.values()} <= set(POOLS)


def test_every_table_is_the_outlet_of_a_task(tasks: dict[str, dict[str, Any]]) -> None:
    # every step of a night writes its own row of that one
    written = set(TABLES) - {NIGHT_STEPS.name}
    assert {name for task in tasks.values() for name in task["outlets"]} == written
    assert {uri for task in tasks.values() for uri in task["uris"]} == {f"lake://nightshift/{name}" for name in written}


def test_fine_tuning_runs_in_the_gpu_queue(tasks: dict[str, dict[str, Any]]) -> None:
    assert [name for name, task in tasks.items() if task["queue"] == "gpu"] == [
        f"{WEEKLY}.{task}" for task in ("fine_tune", "refit")
    ]


def test_retries_fit_the_failure_and_every_task_ends(tasks: dict[str, dict[str, Any]]) -> None:
    for name, task in tasks.items():
        if task["type"] == "EmptyOperator":
            continue
        assert task["timeout"], name
        assert task["policy"] == "RetryByExitCode", name
        # the run that is waited for retries by itself
        assert task["retries"] == (0 if name == f"{NIGHTLY}.fine_tune_model" else 2), name


def test_every_task_tells_people(tasks: dict[str, dict[str, Any]]) -> None:
    told = {name for name, task in tasks.items() if task["callbacks"] == [["failed"], ["ended"], ["ended"]]}
    assert tasks.keys() - told == {f"{NIGHTLY}.drift_done"}


def test_the_report_runs_always_and_leaves_the_nights_state_alone(tasks: dict[str, dict[str, Any]]) -> None:
    assert [name for name, task in tasks.items() if task["teardown"]] == [f"{NIGHTLY}.write_report"]


def test_a_night_without_champion_triggers_fine_tuning(tasks: dict[str, dict[str, Any]]) -> None:
    assert tasks[f"{NIGHTLY}.fine_tune_model"]["triggers"] == WEEKLY
    assert tasks[f"{NIGHTLY}.embed_items"]["trigger_rule"] == "none_failed_min_one_success"


def test_drift_cannot_hold_a_night_and_starts_a_model_at_its_end(tasks: dict[str, dict[str, Any]]) -> None:
    assert tasks[f"{NIGHTLY}.start_fine_tuning"]["triggers"] == WEEKLY
    assert tasks[f"{NIGHTLY}.start_fine_tuning"]["trigger_rule"] == "none_skipped"
    assert tasks[f"{NIGHTLY}.drift_done"]["trigger_rule"] == "all_done"
    # Airflow takes the state of a run from tasks that only teardowns follow: a held night has to fail
    assert tasks[f"{NIGHTLY}.publish"]["downstream"] == ["write_report"]


def test_params_have_a_schema(described: dict[str, Any]) -> None:
    schemas = {
        dag_id: {name: (schema["type"], schema.get("format")) for name, schema in dag["params"].items()}
        for dag_id, dag in described["dags"].items()
    }
    assert schemas == {
        NIGHTLY: {
            "allow_empty": ("boolean", None),
            "ingest_from": (["null", "string"], "date"),
            "ingest_only": ("boolean", None),
        },
        WEEKLY: {"as_of": (["null", "string"], "date")},
        WATCH: {},
    }
    assert described["dags"][NIGHTLY]["defaults"] == {"allow_empty": False, "ingest_from": None, "ingest_only": False}
    assert described["dags"][WEEKLY]["defaults"] == {"as_of": None}
