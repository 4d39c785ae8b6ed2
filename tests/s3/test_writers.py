"""Writers of one table in an S3 store lose nothing of each other, also where one of them is killed.

make test-s3
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest

from contracts import lake, locks, places, s3
from contracts.columns import Columns as C
from contracts.errors import InputError, SettingsError, StorageError
from contracts.settings import PROJECT, Settings, load_settings
from contracts.tables import INGEST_FILES
from nightshift.health import data
from tests.object_store import ObjectStore

DAYS = [date(2017, 12, day) for day in range(1, 9)]

WRITER = """
import sys
from datetime import UTC, date, datetime
from contracts import lake
from contracts.settings import load_settings
from contracts.tables import INGEST_FILES
settings = load_settings()
for each in sys.argv[1:]:
    day = date.fromisoformat(each)
    row = (day, "a.jsonl", 1, 2, datetime(2017, 12, 24, tzinfo=UTC))
    lake.replace_small(settings, INGEST_FILES, [row], f"ds = '{day}'")
"""

KILLED = """
import time
from contracts import lake
from contracts.settings import load_settings
from contracts.tables import INGEST_FILES
settings = load_settings()
with lake._writing(settings, INGEST_FILES):
    (lake.path(settings, INGEST_FILES) / "part-0.parquet").write_bytes(b"half a file")
    print("holds", flush=True)
    time.sleep(600)
"""


def started(settings: Settings, program: str, *arguments: str) -> subprocess.Popen[str]:
    """A program of Python in a home."""
    environ = os.environ | {"NIGHTSHIFT_HOME": str(settings.home), "NIGHTSHIFT_PROFILE": "demo"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def own(store: ObjectStore, tmp_path: Path) -> Settings:
    """A lake of the test's own in the store."""
    return store.settings(tmp_path)


def days_there(settings: Settings) -> list[date]:
    return sorted(row[C.DS] for row in lake.rows(settings, INGEST_FILES))


def test_writers_at_once_lose_nothing(own: Settings) -> None:
    programs = [started(own, WRITER, *map(str, DAYS[n::3])) for n in range(3)]
    assert [program.wait() for program in programs] == [0, 0, 0]
    assert days_there(own) == DAYS
    assert lake.version(own, INGEST_FILES) == len(DAYS) - 1


def test_a_writer_that_is_killed_holds_up_the_next_one_no_longer_than_its_lease(
    own: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "EXPIRES", 4.0)
    killed = started(own, KILLED)
    assert killed.stdout
    assert killed.stdout.readline() == "holds\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not lake.exists(own, INGEST_FILES)
    write(own, DAYS[0])
    assert "is taken for dead" in caplog.text
    assert days_there(own) == DAYS[:1]
    assert "part-0.parquet" not in places.names(lake.path(own, INGEST_FILES))


def test_a_writer_that_lives_is_waited_for(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "EXPIRES", 3.0)
    monkeypatch.setattr(locks, "BEAT", 0.5)
    with ThreadPoolExecutor(1) as aside:
        with locks.locked(own, INGEST_FILES.name):
            waiting = aside.submit(write, own, DAYS[0])
            with pytest.raises(TimeoutError):
                waiting.result(timeout=6)
        waiting.result(timeout=30)
    assert days_there(own) == DAYS[:1]


def test_a_writer_that_was_taken_for_dead_is_told(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "EXPIRES", 2.0)
    monkeypatch.setattr(locks, "BEAT", 60.0)
    with pytest.raises(StorageError, match="Another writer has taken over"), locks.locked(own, INGEST_FILES.name):
        write(own, DAYS[0])
    assert days_there(own) == DAYS[:1]
    with locks.locked(own, INGEST_FILES.name):  # and holds up nobody
        pass


def write(settings: Settings, day: date) -> None:
    row = (day, "a.jsonl", 1, 2, datetime(2017, 12, 24, tzinfo=UTC))
    lake.replace_small(settings, INGEST_FILES, [row], f"ds = '{day}'")


def test_a_version_whose_files_are_gone_says_so(own: Settings) -> None:
    write(own, DAYS[0])
    assert lake.count(own, INGEST_FILES) == 1
    write(own, DAYS[0])
    folder = lake.path(own, INGEST_FILES)
    (first,) = lake._open(own, INGEST_FILES, 0).file_uris()
    places.like(folder, first).unlink()
    assert lake.arrow(own, INGEST_FILES, at=1).num_rows == 1
    with pytest.raises(InputError, match=r"Version 0 of table s3a://.* 1 of its files were cleaned away"):
        lake.arrow(own, INGEST_FILES, at=0)


class Forgetful(BaseHTTPRequestHandler):
    """Says yes to every write, as a store that does not know conditions."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Keeps nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200)

    def do_DELETE(self) -> None:
        """Nothing is there."""
        self._answer(204)

    def _answer(self, state: int) -> None:
        self.send_response(state)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Not to the tests' output."""


@pytest.fixture
def forgetful() -> Iterator[str]:
    """The endpoint of a store that ignores If-None-Match."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_store_without_conditional_writes_is_refused(store: ObjectStore, forgetful: str, tmp_path: Path) -> None:
    settings = ObjectStore(forgetful, store.environ).settings(tmp_path)
    with pytest.raises(SettingsError, match="does not heed If-None-Match"):
        write(settings, DAYS[0])


def test_a_store_that_is_not_there_or_lets_nobody_in_is_named(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ObjectStore("http://127.0.0.1:9", store.environ).settings(tmp_path / "away")
    with pytest.raises(StorageError, match=r"s3a://shop/away/lake/.* cannot be reached"):
        s3.require_conditional_writes(away.lake)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    connections = fsspec.get_filesystem_class("s3a")
    connections.clear_instance_cache()  # they keep the credentials that they began with
    stranger = store.settings(tmp_path / "stranger")
    with pytest.raises(StorageError, match="cannot be reached"):
        s3.require_conditional_writes(stranger.lake)
    connections.clear_instance_cache()


def test_doctor_looks_at_the_store(own: Settings, forgetful: str, store: ObjectStore, tmp_path: Path) -> None:
    write(own, DAYS[0])
    found = {check.name: check.state for check in data.tables(own)}
    assert (found["Store"], found["Lake"], found["Half-written tables"]) == ("ok", "ok", "ok")
    (only,) = data.tables(ObjectStore(forgetful, store.environ).settings(tmp_path / "forgetful"))
    assert (only.name, only.state) == ("Store", "problem")


def test_credentials_stand_in_no_file(own: Settings) -> None:
    assert "AKIA" not in (own.home / "nightshift.toml").read_text()
    assert load_settings({"NIGHTSHIFT_HOME": str(own.home)}).storage.store.endpoint == own.storage.endpoint
