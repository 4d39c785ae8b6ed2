"""Operators that run a job: one for Spark applications, one for plain Python processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowSkipException

from contracts.cli import RESULT_FILE, read_result
from contracts.errors import SettingsError
from contracts.settings import PROJECT, load_settings
from spark_jobs.cluster.environment import spark_defaults
from wiring.failures import JobLog, refuse

if TYPE_CHECKING:
    import logging

    from airflow.sdk.types import Logger

KILL_AFTER_SECONDS = 20


def is_long(arguments: Sequence[str]) -> bool:
    """Whether a job's arguments ask for more than one night's work: a fine-tuning, or the history of several days."""
    values = dict(pairwise(arguments))
    if "--as-of" in values:
        return True
    days = [date.fromisoformat(values[name]) for name in ("--start", "--end") if name in values]
    return len(days) == 2 and days[1] - days[0] > timedelta(days=1)


def given(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that rendered to nothing: flags that the run did not ask for."""
    return [argument for argument in arguments if argument]


@contextmanager
def results(context: Context) -> Iterator[dict[str, str]]:
    """The variables with which a job can give results: what it gave goes to XCom when the block ends well."""
    with TemporaryDirectory(prefix="nightshift-result-") as folder:
        file = Path(folder) / "result.json"
        yield {RESULT_FILE: str(file)}
        for key, value in read_result(file).items():
            context["ti"].xcom_push(key=key, value=value)


def answer_of(log: logging.Logger | Logger, module: str, *arguments: str) -> str:
    """What ``python -m <module>`` prints, for a small question whose answer takes imports too heavy for Airflow.

    Its log goes to the task's; where it fails, the task ends as a job's does.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    job_log = JobLog()
    for line in job_log.follow(done.stderr.splitlines()):
        log.info(line)
    if done.returncode:
        job_log.fail(log, module, done.returncode)
    return done.stdout.strip()


class SparkJobHook(SparkSubmitHook):
    """spark-submit in client mode, whose output and exit code can be looked at afterwards.

    Raises:
        SettingsError: the connection cannot be read, asks for another mode, or needs a package that is missing.
    """

    def __init__(self, **arguments: Any) -> None:
        try:
            super().__init__(**arguments)
        except NameError as error:  # how the provider says that it could not import what Kubernetes takes
            raise SettingsError(
                f"The connection {self._conn_id} names Kubernetes, for which Airflow needs a package: install "
                "apache-airflow-providers-cncf-kubernetes beside it."
            ) from error
        self.job_log = JobLog()

    def _resolve_connection(self) -> dict[str, Any]:
        """What the connection says; the provider takes YARN where there is none."""
        try:
            self.get_connection(self._conn_id)
        except AirflowNotFoundException as error:
            raise SettingsError(
                f"There is no connection {self._conn_id}, or its JSON cannot be read: docs/deployment.md has examples."
            ) from error
        made = super()._resolve_connection()
        if made["deploy_mode"] == "cluster":
            raise SettingsError(
                f"The connection {self._conn_id} has the deploy-mode cluster, expected client: a step runs where "
                "Airflow's task does, beside the settings, the models and the log. Take it out of the extra."
            )
        return made

    def _build_spark_common_args(self) -> list[str]:
        made = super()._build_spark_common_args()
        # on Kubernetes the provider gives them to a driver's pod, which there is none in client mode
        self._env = self._env_vars
        return list(made)

    @property
    def exit_code(self) -> int | None:
        """Exit code of spark-submit; None when it was not started or still runs."""
        return self._submit_sp.returncode if self._submit_sp else None

    def _process_spark_submit_log(self, itr: Iterator[Any]) -> None:
        super()._process_spark_submit_log(self.job_log.follow(itr))


class SparkJob(SparkSubmitOperator):
    """Runs ``spark_jobs/<job>.py`` through spark-submit on the connection `spark_default`."""

    def __init__(self, *, job: str, arguments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(
            application=str(PROJECT / "spark_jobs" / f"{job}.py"),
            application_args=list(arguments),
            name=f"nightshift {job}",
            # else the script's folder comes first on sys.path, and its modules hide others of their names
            env_vars={"PYTHONSAFEPATH": "1"},
            **kwargs,
        )
        self.job = job

    def _get_hook(self) -> SparkJobHook:
        settings, arguments = load_settings(), given(self.application_args or [])
        env_vars = dict(self.env_vars or {})
        if not is_long(arguments) and (options := settings.spark.night_java_options):
            env_vars["SPARK_SUBMIT_OPTS"] = f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} {options}".strip()
        return SparkJobHook(
            conn_id=self._conn_id,
            conf=self.conf,
            name=self.name,
            env_vars=env_vars,
            application_args=arguments,
            properties_file=str(spark_defaults(settings)),
        )

    def execute(self, context: Context) -> None:
        """Runs the job, waits for it, and takes its results to XCom."""
        with results(context) as variables:
            self.env_vars = {**(self.env_vars or {}), **variables}
            try:
                hook = self._hook = self._get_hook()
            except SettingsError as error:
                refuse(self.log, error)
            try:
                super().execute(context)
            except AirflowException:
                if not hook.exit_code:
                    raise
                hook.job_log.fail(self.log, f"spark_jobs.{self.job}", hook.exit_code)


class PythonJob(BaseOperator):
    """Runs ``python -m <module>`` in a process of its own, so that Airflow imports nothing of it."""

    template_fields = ("arguments",)

    def __init__(self, *, module: str, arguments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.module = module
        self.arguments = list(arguments)
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> None:
        """Runs the job, waits for it, and takes its results to XCom."""
        with results(context) as variables:
            self._run(variables)

    def _run(self, variables: dict[str, str]) -> None:
        command = [sys.executable, "-m", self.module, *given(self.arguments)]
        self.log.info("Command: %s", " ".join(command))
        job_log = JobLog()
        # a session of its own: killing the task ends the job's children too
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout
        try:
            for line in job_log.follow(self._process.stdout):
                self.log.info(line.rstrip())
            code = self._process.wait()
        finally:
            # Ctrl-C does not reach the job's session, nor does a timeout
            self.on_kill()
        if code:
            job_log.fail(self.log, self.module, code)

    def on_kill(self) -> None:
        """Ends the job and everything that it started: first kindly, then not."""
        process = self._process
        if not process or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


class OptionalJob(PythonJob):
    """A job that may find nothing to do: it gives no result then, says why in its log, and its task is skipped."""

    def execute(self, context: Context) -> None:
        """Runs the job; a task that did nothing must not look like one that did."""
        with results(context) as variables:
            self._run(variables)
            done = read_result(Path(variables[RESULT_FILE]))
        if not done:
            raise AirflowSkipException("There was nothing to do: see the last lines of the job above.")
