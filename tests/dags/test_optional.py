"""A job that finds nothing to do is not a success in which nothing ran."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

CASES = Path(__file__).parent / "cases"


def test_a_job_without_a_result_is_skipped(airflow_environ: dict[str, str], airflow_database: Path) -> None:
    environ = airflow_environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(CASES)}
    subprocess.run(["airflow", "dags", "reserialize"], env=environ, capture_output=True, check=True)
    command = ["airflow", "dags", "test", "optional", "2024-01-02"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    with closing(sqlite3.connect(airflow_database)) as database:
        rows = database.execute("select task_id, state from task_instance where dag_id = 'optional'").fetchall()
    assert dict(rows) == {"does": "success", "finds_nothing": "skipped", "fails": "failed"}, done.stdout[-2000:]
