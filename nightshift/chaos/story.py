"""What the chaos nights happen to: a home of its own, its Airflow, and a server that people's messages come to."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from contracts import intake, lake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import newest, newest_published
from contracts.tables import EVENTS, PUBLICATIONS
from nightshift.chaos.shop import Logs
from nightshift.runtime.airflow_api import Api
from nightshift.runtime.airflow_runs import DagRun, night, run_dag
from nightshift.runtime.commands import RunError
from nightshift.runtime.services import airflow

NEXT_TO_NO_TRAINING = """
[training.tower]
steps = 2
batch = 16
tuned_layers = 1
max_tokens = 12
[training.encoder]
vector_size = 16
length = 20
layers = 1
epochs = 1
negatives = 64
[training.ranker]
windows = 2
[training.cooccurrence]
neighbours = 10
"""
"""Settings of a model that is made in seconds, for what looks at the way and not at the model."""

SETTINGS = f"""
[delivery]
complete_when = "success_file"
alert_after_minutes = 0
give_up_after_minutes = 10000
poll_seconds = 5
[spark]
master = "local[1]"
shuffle_partitions = 2
snapshot_partitions = 1
driver_memory = "1g"
[scoring]
n = 10
{NEXT_TO_NO_TRAINING}"""
"""A delivery is complete when `_SUCCESS` is there; a night tells at once that it waits, at any time of the day."""


class Broken(Exception):
    """A promise that was not kept."""


def require(kept: object, promise: str) -> None:
    """Raises `Broken` unless a promise was kept."""
    if not kept:
        raise Broken(promise)


@dataclass
class Story:
    """The shop, its home, and what people were told so far."""

    settings: Settings
    logs: Logs
    api: Api
    messages: list[dict[str, Any]] = field(default_factory=list)

    def night(self, number: int) -> str:
        """Runs the night of a day to its end; what it said: how it ended, in the line that a person reads."""
        return self.run(night(self.logs.day(number)))

    def run(self, run: DagRun) -> str:
        """Runs a DAG to its end; how it ended, in the line that a person reads."""
        try:
            run_dag(self.settings, run)
        except RunError as error:
            return " ".join(str(error).split())
        return "success"

    def publication(self, number: int) -> dict[str, Any]:
        """The newest row of `publications` of a night; empty where it has none."""
        return newest(lake.rows(self.settings, PUBLICATIONS, {C.DS: self.logs.day(number)})) or {}

    def readers_see(self) -> int | None:
        """The number of the day whose lists readers get."""
        live = newest_published(lake.rows(self.settings, PUBLICATIONS))
        return self.logs.days.index(live[C.DS]) + 1 if live else None

    def events(self, number: int) -> int:
        """Events of a day that other steps see."""
        return lake.count(self.settings, EVENTS, {C.DS: self.logs.day(number)})

    def told(self, kind: str, since: int) -> list[str]:
        """What people were told of one kind, after so many messages."""
        return [message["what"] for message in self.messages[since:] if message["kind"] == kind]

    def require_balance(self) -> str:
        """Checks that nothing was lost: of every day, and of the table itself; gives the sums in words."""
        counts, accepted = intake.cleaned(self.settings), intake.accepted(self.settings)
        for day, row in counts.items():
            require(row["raw"] == row["clean"] + row["rejected"] + row["duplicates"], f"{day} does not balance")
        rows = lake.arrow(self.settings, EVENTS, [C.EVENT_ID, C.DS]).to_pandas()
        by_day = rows.groupby(C.DS).size().to_dict()
        for day, row in accepted.items():
            require(by_day.get(day, 0) == row["clean"], f"{day} has other events than its balance says")
        require(rows[C.EVENT_ID].is_unique, "an event counts twice")
        rejected = sum(intake.rejected_by_day(self.settings).values())
        sums = {name: sum(row[name] for row in counts.values()) for name in ("raw", "clean", "rejected", "duplicates")}
        require(rejected == sums["rejected"], "the rejects are not as many as the balance says")
        return "{raw:,} = {clean:,} + {rejected:,} + {duplicates:,}".format(**sums)


@contextmanager
def told(settings: Settings, logs: Logs) -> Iterator[Story]:
    """A story with its Airflow, whose alerts come to a server of this process."""
    messages: list[dict[str, Any]] = []
    with people(messages) as address:
        os.environ["AIRFLOW_CONN_NIGHTSHIFT_WEBHOOK"] = json.dumps({"conn_type": "http", "host": address})
        with airflow(settings, "make chaos-data", waits=True) as api:
            api.unpause("watch_nights")
            yield Story(settings, logs, api, messages)


@contextmanager
def people(messages: list[dict[str, Any]]) -> Iterator[str]:
    """A web server that takes in what people are told; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
