"""Tasks that wait: the triggers with real files and tables, and a night that waits in a real Airflow for its logs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from contracts import lake
from contracts.dag_runs import NIGHTLY, WEEKLY
from contracts.interval import Interval
from contracts.settings import Settings, load_settings
from contracts.states import CRITICAL
from contracts.tables import INGEST_COUNTS, QUALITY_RESULTS
from nightshift.runtime.airflow_api import AirflowError, Api
from nightshift.runtime.airflow_runs import Progress, may_wait, model, night
from nightshift.runtime.environment import airflow_home
from nightshift.runtime.services import API_SERVER, SCHEDULER, TRIGGERER, airflow, started

DAY = date(2017, 12, 23)
MANIFEST = "_MANIFEST.json"


@pytest.fixture
def waiting(settings: Settings, airflow_environ: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a trigger in a process of its own, and gives it back when it looks."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str, seconds: float, **arguments: object) -> subprocess.Popen[str]:
        script = Path(__file__).parent / "cases" / "trigger.py"
        command = [sys.executable, str(script), kind, str(seconds), json.dumps(arguments)]
        process = subprocess.Popen(command, env=airflow_environ, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        while (line := process.stdout.readline()) != "looks\n":
            assert line, "the trigger ended before it looked"
        return process

    yield start
    for process in started:
        process.kill()


def rest(process: subprocess.Popen[str]) -> str:
    """What a trigger has printed when it has ended."""
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed.strip()


def put(settings: Settings, day: date, name: str, content: str) -> None:
    file = settings.landing / "events" / f"ds={day}" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_a_trigger_fires_when_the_delivery_is_complete(
    settings: Settings, waiting: Callable[..., subprocess.Popen[str]]
) -> None:
    (settings.home / "nightshift.toml").write_text('[delivery]\ncomplete_when = "manifest"\n')
    trigger = waiting("LogsComplete", 300, day=str(DAY))
    for name, content in ((MANIFEST, '{"a.jsonl": 1, "b.jsonl": 1}'), ("a.jsonl", "{}\n")):
        put(settings, DAY, name, content)
        time.sleep(0.5)
        assert trigger.poll() is None
    put(settings, DAY, "b.jsonl", "{}\n")
    assert rest(trigger) == "fired before the end"
    shutil.rmtree(settings.landing)


def test_a_trigger_fires_at_its_end_and_when_it_cannot_look(
    settings: Settings, waiting: Callable[..., subprocess.Popen[str]]
) -> None:
    (settings.home / "nightshift.toml").write_text("")
    assert rest(waiting("LogsComplete", 1, day=str(DAY))) == "fired at the end"
    trigger = waiting("LogsComplete", 300, day=str(DAY))
    (settings.home / "nightshift.toml").write_text("[delivery]\ncomplete = 1\n")
    assert rest(trigger) == "fired before the end"
    (settings.home / "nightshift.toml").write_text("")


def test_a_trigger_fires_when_a_table_has_another_commit(
    settings: Settings, waiting: Callable[..., subprocess.Popen[str]]
) -> None:
    tables = (INGEST_COUNTS, QUALITY_RESULTS)
    seen = {table.name: lake.newest_commit(settings, table) for table in tables}
    assert set(seen.values()) == {""}
    trigger = waiting("TablesChanged", 300, seen=seen)
    lake.replace_small(settings, INGEST_COUNTS, [(DAY, 1, 9, 8, 1, 0)], f"ds = '{DAY}'")
    assert rest(trigger) == "fired before the end"
    seen = {table.name: lake.newest_commit(settings, table) for table in tables}
    assert rest(waiting("TablesChanged", 1, seen=seen)) == "fired at the end"


@pytest.fixture
def shop(tmp_path: Path, prepared_airflow: Path) -> Settings:
    """A home whose nights wait for a manifest, and were to tell of it at once."""
    rule = 'complete_when = "manifest"\nalert_after_minutes = 0\ngive_up_after_minutes = 10000\npoll_seconds = 5\n'
    home = tmp_path / "home"
    home.mkdir()
    (home / "nightshift.toml").write_text(f"[delivery]\n{rule}")
    made = load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})
    shutil.copytree(prepared_airflow, airflow_home(made), ignore=shutil.ignore_patterns("airflow.cfg", "logs"))
    return made


def state_of(api: Api, dag_id: str, run_id: str, task_id: str) -> str:
    return str(next(task["state"] for task in api.tasks(dag_id, run_id) if task["task_id"] == task_id))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.5)


@pytest.mark.timeout(600)
def test_a_night_waits_in_the_triggerer_tells_that_it_is_late_and_goes_on(
    shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    # a night that is over, and not long ago: an older one does not wait
    ds = datetime.now(UTC).date() - timedelta(days=2)
    log = shop.home / "night.log"
    with airflow(shop, "the tests", waits=True) as api, log.open("w") as copy:
        run, progress = night(ds), Progress(shop, api, copy)
        api.start(NIGHTLY, "waits", datetime.now(UTC), run.interval.bounds(shop.shop.zone), {})

        def says(what: str) -> bool:
            progress.look(NIGHTLY, "waits")
            return what in capsys.readouterr().out

        wait_until(lambda: says(f"wait_for_logs    … waits for the logs of {ds} until"))
        assert progress.waits
        wait_until(lambda: beats(api))
        put(shop, ds, "a.jsonl", "{}\n")
        put(shop, ds, MANIFEST, '{"a.jsonl": 1}')
        # what is missing now is said by the next task
        wait_until(lambda: says("land_events"))
        assert state_of(api, NIGHTLY, "waits", "wait_for_logs") == "success"
        api.fail(NIGHTLY, "waits")
    told = [line.split(" | ", 1)[1][9:] for line in log.read_text().splitlines() if line.startswith("wait_for_logs")]
    late = [line for line in told if f"The logs of {ds} are late: there is no file {MANIFEST}" in line]
    assert len(late) == 1
    assert late[0].startswith("warning")
    assert any(f"The logs of {ds} are complete: all 1 files of" in line for line in told)
    assert "No catalogue for the night" in progress.messages.error


def beats(api: Api) -> bool:
    """Whether there is a triggerer."""
    try:
        api.require_triggerer()
    except AirflowError:
        return False
    return True


def test_only_the_night_of_a_day_that_may_still_come_needs_a_triggerer(shop: Settings) -> None:
    now = datetime(2017, 12, 25, 3, tzinfo=UTC)
    old = night(DAY - timedelta(days=30))
    assert [may_wait(shop, run, now) for run in (night(DAY), old, model(DAY))] == [True, False, False]


NIGHT_BEFORE = date(2017, 12, 22)
LONG_AGO = datetime(2017, 12, 23, 0, 0, 10, tzinfo=UTC)


def looked(
    environ: dict[str, str],
    kind: str,
    as_of: str = "",
    sensor: str = "NightSensor",
    ds: date = NIGHT_BEFORE,
    earlier: Sequence[dict[str, str]] = (),
    started: datetime = LONG_AGO,
    *,
    allow_empty: bool = False,
) -> tuple[int, str]:
    """Exit code and output of a sensor whose interval is the day ``ds``; ``earlier`` has runs, for each look."""
    script = Path(__file__).parent / "cases" / "sensor.py"
    params = json.dumps({"as_of": as_of or None, "allow_empty": allow_empty})
    bounds = [str(moment) for moment in Interval.of_night(ds).bounds(UTC)]
    command = [sys.executable, str(script), sensor, kind, *bounds, params, str(started), *map(json.dumps, earlier)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_an_old_night_does_not_wait_and_one_that_is_far_ahead_is_refused(
    settings: Settings, airflow_environ: dict[str, str]
) -> None:
    code, told = looked(airflow_environ, "manual", sensor="LogsSensor", ds=date(2017, 12, 1))
    assert (code, "goes on" in told) == (0, True)
    assert "The logs of 2017-12-01 are not waited for any more, since 2017-12-02 12:00 (UTC): 0 log files" in told
    code, told = looked(airflow_environ, "manual", sensor="LogsSensor", ds=date(2217, 12, 1))
    assert code == 65
    assert "ERROR: The night 2217-12-01 is still to come: its day ends at 2217-12-02 00:00 (UTC)." in told


def test_a_night_whose_day_is_not_over_is_refused_also_where_empty_days_pass(
    settings: Settings, airflow_environ: dict[str, str]
) -> None:
    now, hour, day = datetime.now(UTC), timedelta(hours=1), timedelta(days=1)
    not_over, over = (now + hour).date(), (now - hour - day).date()
    code, told = looked(airflow_environ, "manual", sensor="LogsSensor", ds=not_over, allow_empty=True)
    assert (code, f"ERROR: The night {not_over} is still to come: its day ends at" in told) == (65, True)
    code, told = looked(airflow_environ, "manual", sensor="LogsSensor", ds=over, allow_empty=True)
    assert (code, "goes on" in told) == (0, True)


FIRST, OTHER = "backfill__2017-11-29", "backfill__2017-11-30"


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        pytest.param(
            [{"running": FIRST, "queued": OTHER}] * 3 + [{}], ["waits"] * 3 + ["goes on"], id="one goes before"
        ),
        pytest.param([{"queued": FIRST}, {"running": FIRST}, {}], ["waits", "waits", "goes on"], id="one that starts"),
        pytest.param([{"queued": OTHER}, {"queued": FIRST}, {}], ["waits", "waits", "goes on"], id="another each time"),
        pytest.param([{"queued": "manual__1"}] * 2 + [{}], ["waits", "waits", "goes on"], id="one that is not of it"),
        pytest.param([{"queued": FIRST}] * 2, ["waits", "ERROR"], id="one that cannot start"),
    ],
)
def test_a_night_of_a_backfill_waits_for_the_earlier_ones_unless_they_cannot_start(
    settings: Settings, airflow_environ: dict[str, str], earlier: list[dict[str, str]], said: list[str]
) -> None:
    code, told = looked(airflow_environ, "backfill", sensor="LogsSensor", ds=date(2017, 12, 1), earlier=earlier)
    assert [line for line in told.splitlines() if line in ("waits", "goes on")] == [
        each for each in said if each != "ERROR"
    ]
    stops = f"ERROR: The run {FIRST} of an earlier night goes before this one, and cannot start: it is queued"
    assert (code == 65, stops in told) == ("ERROR" in said,) * 2


def test_a_scheduled_night_does_not_wait_for_a_backfill(settings: Settings, airflow_environ: dict[str, str]) -> None:
    earlier = [{"running": FIRST}]
    assert (
        "goes on" in looked(airflow_environ, "scheduled", sensor="LogsSensor", ds=date(2017, 12, 1), earlier=earlier)[1]
    )


def take_in(settings: Settings, ds: date, *, success: bool = True) -> None:
    """Writes what tells that a day was validated, and taken in if it passed."""
    counted = [(ds, 1, 9, 8, 1, 0)] if success else []
    lake.replace_small(settings, INGEST_COUNTS, counted, f"ds = '{ds}'")
    result = (ds, "night", "events", "there are events", CRITICAL, success, ">= 1", "8")
    lake.replace_small(settings, QUALITY_RESULTS, [result], f"ds = '{ds}'")


def test_a_weekly_run_does_not_train_on_a_hole_silently(settings: Settings, airflow_environ: dict[str, str]) -> None:
    file = settings.home / "nightshift.toml"
    take_in(settings, DAY)
    for kind, as_of in (("manual", ""), ("operator_triggered", "2017-12-23"), ("scheduled", "2017-12-23")):
        assert looked(airflow_environ, kind, as_of)[0] == 0
    code, told = looked(airflow_environ, "scheduled")
    assert code == 65
    assert (
        "ERROR: The model was to be trained on the events up to 2017-12-22, and its logs have not been taken in" in told
    )
    take_in(settings, NIGHT_BEFORE, success=False)
    assert "and its data failed 1 critical expectation. Run that night" in looked(airflow_environ, "backfill")[1]
    file.write_text('[weekly]\nwithout_night = "train"\n')
    code, told = looked(airflow_environ, "scheduled")
    assert (code, "trained without the night 2017-12-22" in told) == (0, True)
    file.write_text("[weekly]\nwait_minutes = 100000000\n")
    assert "waits until 2208-" in looked(airflow_environ, "scheduled")[1]
    # after an outage it starts beside its night, whose turn was as late; a backfill's is to fail at once
    file.write_text("")
    now = datetime.now(UTC)
    assert f"waits until {now + timedelta(days=1)}" in looked(airflow_environ, "scheduled", started=now)[1]
    assert looked(airflow_environ, "backfill", started=now)[0] == 65
    assert looked(airflow_environ, "scheduled", started=now - timedelta(days=1))[0] == 65
    take_in(settings, NIGHT_BEFORE)
    assert "goes on" in looked(airflow_environ, "scheduled")[1]


@pytest.mark.timeout(600)
def test_the_scheduled_weekly_run_starts_when_its_night_is_there(
    shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with (shop.home / "nightshift.toml").open("a") as file:
        file.write("[weekly]\nwait_minutes = 100000\n")
    components = (SCHEDULER, API_SERVER, TRIGGERER)
    with started(shop, "the tests", components, {}, shared=False) as services, Path(os.devnull).open("w") as copy:
        api = Api(shop, services.url)

        def runs() -> list[str]:
            return [run_id for dag_id, run_id in api.unfinished() if dag_id == WEEKLY]

        wait_until(lambda: bool(runs()))
        (run_id,) = runs()
        progress, shown = Progress(shop, api, copy), ""

        def night_waited_for() -> str:
            nonlocal shown
            progress.look(WEEKLY, run_id)
            shown += capsys.readouterr().out
            found = re.search(r"wait_for_night   … waits for the night (\S+) until", shown)
            return found[1] if found else ""

        wait_until(lambda: bool(night_waited_for()))
        ds = date.fromisoformat(night_waited_for())
        assert ds.strftime("%A") == "Friday"
        take_in(shop, ds - timedelta(days=1))
        time.sleep(5)
        assert state_of(api, WEEKLY, run_id, "build_splits") == "None"
        take_in(shop, ds)
        wait_until(lambda: state_of(api, WEEKLY, run_id, "wait_for_night") == "success")
