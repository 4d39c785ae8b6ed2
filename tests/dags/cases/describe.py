"""Loads the DAG files the way Airflow does and prints a description of them, as JSON. Run by test_dags.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

HEAVY = (
    "pyspark",
    "delta",
    "deltalake",
    "great_expectations",
    "torch",
    "transformers",
    "peft",
    "mlflow",
    "pandas",
    "pyarrow",
    "sklearn",
    "lightgbm",
    "matplotlib",
)


def describe_task(task: Any) -> dict[str, Any]:
    """What a test may want to know of a task."""
    return {
        "type": type(task).__name__,
        "downstream": sorted(task.downstream_task_ids),
        "pool": task.pool,
        "queue": task.queue,
        "outlets": sorted(asset.name for asset in task.outlets),
        "uris": sorted(asset.uri for asset in task.outlets),
        "retries": task.retries,
        "policy": type(task.retry_policy).__name__,
        "teardown": task.is_teardown,
        "trigger_rule": task.trigger_rule.value,
        "timeout": bool(task.execution_timeout),
        "callbacks": [
            [each.__name__ for each in callbacks]
            for callbacks in (task.on_failure_callback, task.on_success_callback, task.on_retry_callback)
        ],
        "triggers": task.trigger_dag_id if isinstance(task, TriggerDagRunOperator) else None,
    }


def main() -> None:
    """Prints the description of the DAG folder that is the first argument."""
    before = set(sys.modules)
    folder = Path(sys.argv[1])
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    loaded = {name.split(".")[0] for name in set(sys.modules) - before}
    description = {
        "import_errors": bag.import_errors,
        "seconds": {str(stat.file): stat.duration.total_seconds() for stat in bag.dagbag_stats},
        "heavy": sorted(loaded & set(HEAVY)),
        "dags": {
            dag_id: {
                "doc": dag.doc_md,
                "tags": sorted(dag.tags),
                "catchup": dag.catchup,
                "max_active_runs": dag.max_active_runs,
                "timetable": type(dag.timetable).__name__,
                "start_date": str(dag.start_date),
                "params": {name: dag.params.get_param(name).schema for name in dag.params},
                "defaults": dag.params.dump(),
                "tasks": {task.task_id: describe_task(task) for task in dag.tasks},
            }
            for dag_id, dag in bag.dags.items()
        },
    }
    print(f"\n{json.dumps(description)}")


if __name__ == "__main__":
    main()
