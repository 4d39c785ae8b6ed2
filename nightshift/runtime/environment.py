"""The environment in which Airflow, Spark and the jobs run, in one place.

    python -m nightshift.runtime.environment airflow dags list

runs a command in it. AIRFLOW__… and AIRFLOW_CONN_… that are already set win, so that a server keeps its own
database, executor and Spark.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from contracts.cli import NoArguments, main
from contracts.errors import SettingsError
from contracts.files import secret, write_atomically
from contracts.settings import PROJECT, Settings
from spark_jobs.cluster.environment import spark_environment


def airflow_home(settings: Settings) -> Path:
    """Airflow's database, logs and generated passwords."""
    return settings.home / "airflow"


def jwt_secret(settings: Settings) -> str:
    """The secret that Airflow's components sign their calls with; made once, readable by its owner."""
    return secret(airflow_home(settings) / "jwt_secret")


def password_file(settings: Settings) -> Path:
    """Airflow's file with the password of the user admin, made where it is missing, readable by its owner only."""
    file = airflow_home(settings) / "simple_auth_manager_passwords.json.generated"
    if not file.exists():
        write_atomically(file, json.dumps({"admin": secrets.token_urlsafe(16)}), mode=0o600)
    return file


def _airflow(settings: Settings, port: str) -> dict[str, str]:
    home = airflow_home(settings)
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # a night is a chain, and one task may wait for another run: more workers would only take memory
        "AIRFLOW__CORE__PARALLELISM": "3",
        # whether nights start by themselves is a setting of ours, not a switch on each DAG
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        # two DAG files change when the project does: reading them every half minute takes a core from the night
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        # not what Airflow once wrote into its own file: homes are moved and copied
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": jwt_secret(settings),
        # a task's token must outlive fine-tuning
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": str(24 * 60 * 60),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        # as JSON: a URI with brackets does not parse, and the hook would silently use YARN
        "AIRFLOW_CONN_SPARK_DEFAULT": f'{{"conn_type": "spark", "host": "{settings.spark.master}"}}',
    }


QUIET = {
    "PYTHONUNBUFFERED": "1",
    # nothing is fetched or reported at run time
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""How libraries behave in the jobs."""


def _fixed(settings: Settings, path: str) -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    return {
        **spark_environment(settings),
        "NIGHTSHIFT_HOME": str(settings.home),
        "NIGHTSHIFT_PROFILE": settings.profile,
        "AIRFLOW_HOME": str(airflow_home(settings)),
        # another Spark on this machine must not take part
        "SPARK_HOME": "",
        # Airflow and Spark start `airflow`, `python` and `spark-submit` by name
        "PATH": path if path.split(os.pathsep)[0] == bin_folder else f"{bin_folder}{os.pathsep}{path}",
    }


def environment(settings: Settings, base: Mapping[str, str]) -> dict[str, str]:
    """``base`` with what Airflow, Spark and the jobs need. What ends up as nothing is left out."""
    port = base.get("AIRFLOW__API__PORT", "8080")
    defaults = {"SPARK_LOCAL_IP": "127.0.0.1", **QUIET, **_airflow(settings, port)}
    made = {**defaults, **base, **_fixed(settings, base.get("PATH", os.defpath))}
    return {name: value for name, value in made.items() if value}


def become(settings: Settings, _: NoArguments, *, command: Sequence[str]) -> None:
    """Replaces this process by ``command``.

    Raises:
        SettingsError: there is no command, or no such program.
    """
    if not command:
        raise SettingsError("No command: python -m nightshift.runtime.environment COMMAND [ARGUMENT …]")
    try:
        os.execvpe(command[0], list(command), environment(settings, os.environ))
    except FileNotFoundError as error:
        raise SettingsError(f"There is no program {command[0]!r} on the PATH.") from error


if __name__ == "__main__":
    # all that follows the program is the program's, its options too: only --help can come before it
    words = sys.argv[1:]
    main(__doc__, NoArguments, partial(become, command=words), words[:1] if words[:1] and words[0][0] == "-" else [])
