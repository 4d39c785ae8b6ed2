"""Alerts, sent by real runs to a mail server and a web server on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.dag_runs import NIGHTLY
from contracts.interval import Interval
from contracts.notices import of_night, of_run
from contracts.settings import PROJECT, Settings, load_settings
from contracts.tables import PUBLICATIONS
from nightshift.runtime import setup_airflow
from nightshift.runtime.airflow_api import FINISHED, Api
from nightshift.runtime.environment import airflow_home, environment, password_file
from nightshift.runtime.services import airflow
from tests.factories import publication
from tests.lakes import ArrowLake
from tests.servers import Inbox, free_port, serving

pytestmark = pytest.mark.timeout(600)

NIGHT = date(2017, 12, 24)
READERS = "readers still get the lists of 2017-12-22, published 2017-12-23 04:00 UTC by run r1"
TO = ["ann@shop.example", "bob@shop.example"]


def connections(smtp: int, slack: str, webhook: str) -> dict[str, str]:
    """The three connections, as the environment has them."""
    mail = {"from_email": "nightshift@shop.example", "to": ", ".join(TO), "disable_ssl": True, "disable_tls": True}
    return {
        "AIRFLOW_CONN_NIGHTSHIFT_SMTP": json.dumps(
            {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp, "extra": mail}
        ),
        "AIRFLOW_CONN_NIGHTSHIFT_SLACK": json.dumps({"conn_type": "slackwebhook", "password": slack}),
        "AIRFLOW_CONN_NIGHTSHIFT_WEBHOOK": json.dumps(
            {"conn_type": "http", "host": webhook, "extra": {"Authorization": "Bearer t0ken"}}
        ),
    }


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    """The servers."""
    with serving() as inbox:
        yield inbox


@pytest.fixture
def empty(inbox: Inbox) -> Inbox:
    """The servers, without what they got before."""
    inbox.mails.clear()
    inbox.posts.clear()
    return inbox


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prepared_airflow: Path) -> Settings:
    """A home whose readers get the lists of 2017-12-22."""
    made = load_settings({"NIGHTSHIFT_HOME": str(tmp_path_factory.mktemp("home")), "NIGHTSHIFT_PROFILE": "demo"})
    shutil.copytree(prepared_airflow, airflow_home(made), ignore=shutil.ignore_patterns("airflow.cfg", "logs"))
    ArrowLake(made).write(PUBLICATIONS, [publication(date(2017, 12, 22))])
    return made


def on(inbox: Inbox) -> dict[str, str]:
    """Connections to the servers."""
    web = f"http://127.0.0.1:{inbox.http}"
    return connections(inbox.smtp, f"{web}/services/T/B/x", f"{web}/hook")


def dags_test(home: Settings, dag_id: str, channels: Mapping[str, str]) -> str:
    """Runs a DAG of cases/alerting.py with `airflow dags test`, and gives all that it printed."""
    base = {**os.environ, "PYTHONPATH": str(PROJECT / "dags"), **channels}
    base["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parent / "cases")
    command = ["airflow", "dags", "test", dag_id, "2017-12-25"]
    done = subprocess.run(command, env=environment(home, base), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def states(home: Settings, dag_id: str) -> dict[str, tuple[str, int]]:
    """State and number of tries of each task of a DAG's runs."""
    with closing(sqlite3.connect(airflow_home(home) / "airflow.db")) as database:
        rows = database.execute("select task_id, state, try_number from task_instance where dag_id = ?", (dag_id,))
        return {task: (state, tries) for task, state, tries in rows}


def test_each_event_is_one_message_through_every_channel(home: Settings, empty: Inbox) -> None:
    dags_test(home, "alerting", on(empty))
    # `breaks` was tried twice, `after` never ran, the hole was told three times and the late logs twice
    assert states(home, "alerting") | {"breaks": 0} == {
        "validate": ("failed", 1), "after": ("upstream_failed", 0), "publish": ("failed", 1),
        "land_events": ("failed", 1), "measure_drift": ("failed", 1), "breaks": 0, "tells": ("success", 1),
        "again": ("success", 1), "waits": ("success", 1),
    }  # fmt: skip
    assert states(home, "alerting")["breaks"] == ("failed", 2)
    hooked = empty.to("/hook")
    assert Counter(told["kind"] for told in hooked) == {
        "gate": 1, "held": 1, "failed": 2, "beside": 1, "hole": 1, "late_files": 1, "late": 1,
    }  # fmt: skip
    headlines = sorted(told["headline"] for told in hooked)
    assert sorted(message["subject"] for _, message in empty.mails) == headlines
    assert sorted(told["text"].splitlines()[0].strip("*") for told in empty.to("/services/T/B/x")) == headlines
    assert {post.authorization for post in empty.posts if post.path == "/hook"} == {"Bearer t0ken"}
    assert all(recipients == TO for recipients, _ in empty.mails)

    (landed,) = (told for told in hooked if told["what"].startswith("land_events"))
    run = landed.pop("run_id")
    assert landed == {
        "kind": "failed",
        "night": "2017-12-24",
        "headline": "Nightshift: The night 2017-12-24 failed",
        "what": "land_events: There is no log of 2017-12-24.",
        "readers": READERS,
        "to_do": "Do what the error says, then clear the failed task, or run the night again: nightshift night "
        "2017-12-24.",
        "link": f"http://127.0.0.1:8080/dags/alerting/runs/{run.replace(':', '%3A').replace('+', '%2B')}"
        "/tasks/land_events",
    }
    # what stood in the logs is neither a template, nor markup, nor a call to everybody
    (chat,) = (told["text"] for told in empty.to("/services/T/B/x") if "stopped its night" in told["text"])
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;!channel&gt; @\u200ball {{ dag.dag_id }}" in chat
    (mail,) = (message for _, message in empty.mails if "stopped its night" in message["subject"])
    body = mail.get_body(("html",))
    assert body
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;!channel&gt; @all {{ dag.dag_id }}" in body.get_content()


def test_without_a_connection_nothing_is_sent_and_the_notice_stays(home: Settings, empty: Inbox) -> None:
    printed = dags_test(home, "alerting_once", {})
    assert not empty.mails
    assert not empty.posts
    assert "alert through" not in printed
    assert states(home, "alerting_once") == {"land_events": ("failed", 1)}
    assert "land_events: There is no log of 2017-12-24." in {told.notice.what for told in of_night(home, NIGHT)}


def test_a_channel_that_fails_says_so_in_one_line_and_changes_nothing(home: Settings, empty: Inbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        broken = connections(
            free_port(),
            f"http://127.0.0.1:{silent.getsockname()[1]}/services",
            f"http://127.0.0.1:{empty.http}/broken",
        )
        printed = dags_test(home, "alerting_once", broken)
    said = re.findall(r"No alert through (\w+): (.*?) +\[wiring\.alerts]", printed)
    assert sorted(name for name, _ in said) == ["nightshift_slack", "nightshift_smtp", "nightshift_webhook"]
    assert "Connection refused" in dict(said)["nightshift_smtp"]
    assert "500" in dict(said)["nightshift_webhook"]
    assert "Traceback" not in printed
    assert states(home, "alerting_once") == {"land_events": ("failed", 1)}


@pytest.fixture
def api(home: Settings, empty: Inbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A scheduler and an API server, with all channels on."""
    for name, value in on(empty).items():
        monkeypatch.setenv(name, value)
    with airflow(home, "the tests") as api:
        yield api


def run(api: Api, dag_id: str, run_id: str) -> str:
    """Runs a DAG for the night to its end, and gives its state."""
    interval = Interval.of_night(NIGHT).bounds(UTC)
    api.start(dag_id, run_id, datetime(2017, 12, 25, 1, tzinfo=UTC), interval, {})
    while (state := api.state(dag_id, run_id)) not in FINISHED:
        time.sleep(0.5)
    return state


def home_page(home: Settings, api: Api) -> list[dict[str, Any]]:
    """The alerts that Airflow's home page shows."""
    login = {"username": "admin", "password": json.loads(password_file(home).read_text())["admin"]}
    token = httpx.post(f"{api.url}/auth/token", json=login).json()["access_token"]
    answer = httpx.get(f"{api.url}/ui/config", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return list(answer.json()["dashboard_alert"])


def test_a_night_without_logs_is_told_once_again_at_its_deadline_and_on_the_home_page(
    home: Settings, empty: Inbox, api: Api
) -> None:
    shutil.rmtree(home.home / "notices", ignore_errors=True)
    assert home_page(home, api) == []
    assert run(api, NIGHTLY, "night-1") == "failed"
    assert run(api, "watch_nights", "watch-1") == "success"
    deadline = time.monotonic() + 30
    while len(empty.to("/hook")) < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    failed, missing = empty.to("/hook")
    assert (failed["kind"], failed["run_id"], failed["night"], failed["readers"]) == (
        "failed", "night-1", "2017-12-24", READERS,
    )  # fmt: skip
    assert failed["what"].startswith("land_events: No catalogue for the night 2017-12-24: ")
    assert failed["link"].endswith(f"/dags/{NIGHTLY}/runs/night-1/tasks/land_events")
    assert (missing["kind"], missing["night"]) == ("missing", "2017-12-24")
    assert missing["link"] == f"http://127.0.0.1:8080/dags/{NIGHTLY}"
    assert missing["what"].startswith("At the deadline the night 2017-12-24 is not published: failed: land_events: ")
    assert len(empty.mails) == len(empty.to("/services/T/B/x")) == 2
    (alert,) = home_page(home, api)
    assert alert["category"] == "warning"
    shown = alert["text"].replace("\\", "")
    assert shown.startswith(f"R{READERS[1:]}. [The night of 2017-12-24](/dags/{NIGHTLY}/runs/night-1) is not")

    # a lake that cannot be read: the page goes on
    shutil.rmtree(home.lake / "publications" / "_delta_log")
    (home.lake / "publications" / "_delta_log").mkdir()
    (home.lake / "publications" / "_delta_log" / f"{0:020}.json").write_text("no JSON")
    (alert,) = home_page(home, api)
    assert alert["text"].startswith("What readers see cannot be told")


@pytest.fixture
def cases(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The DAGs of cases/ in the place of the project's, from here on."""
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(Path(__file__).parent / "cases"))
        patch.setenv("PYTHONPATH", str(PROJECT / "dags"))
        setup_airflow.airflow(home, "dags", "reserialize")
        yield


def test_a_run_tells_for_the_one_that_waits_for_it_and_airflow_stops_after_it_has_told(
    home: Settings, empty: Inbox, cases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # one connection is in Airflow's database, as docs/alerts.md has it
    web = f"http://127.0.0.1:{empty.http}/hook"
    setup_airflow.airflow(
        home, "connections", "add", "nightshift_webhook", "--conn-type", "http", "--conn-host", web,
    )  # fmt: skip
    for name in ("AIRFLOW_CONN_NIGHTSHIFT_SMTP", "AIRFLOW_CONN_NIGHTSHIFT_SLACK"):
        monkeypatch.setenv(name, on(empty)[name])
    with airflow(home, "the tests") as api:
        api.unpause("alerting_once")
        api.unpause("alerting_waits")
        assert run(api, "alerting_waits", "w1") == "failed"
        empty.seconds = 2
        assert run(api, "alerting_once", "o1") == "failed"
    empty.seconds = 0
    assert [(told["run_id"], told["kind"]) for told in empty.to("/hook")] == [("for-w1", "failed"), ("o1", "failed")]
    assert len(empty.mails) == len(empty.to("/services/T/B/x")) == 2
    assert [told.notice.what for told in of_run(home, "w1")] == ["waits_for_it failed, because the run for-w1 did."]
