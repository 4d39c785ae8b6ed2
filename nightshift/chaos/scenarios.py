"""What goes wrong, in the order of the story. Each scenario does it, runs nights, and checks what was promised."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import psutil

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.dag_runs import AFTER_DRIFT, NIGHTLY, WEEKLY
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.model_ids import knows_later
from contracts.tables import EVENTS
from models.store import registry
from nightshift.chaos import shop
from nightshift.chaos.story import SETTINGS, Story, require
from nightshift.runtime.airflow_runs import history, model
from spark_jobs.reporting.hindsight_table import published_hash

FIRST_NIGHT = 27
"""The days before it are the history, which is loaded at once."""
PATIENCE_SECONDS = 900
STRANGERS = 100
"""Users that the drift brings."""


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong."""

    title: str
    what: str  # what is done
    play: Callable[[Story], str]  # does it, and gives what the nights said


def ordinary(story: Story) -> str:
    """A history, and a night that has its first model fine-tuned on the way."""
    logs = story.logs
    for day in logs.days[:FIRST_NIGHT]:
        logs.deliver(day)
    logs.deliver_catalogue(logs.day(1))
    until = logs.day(FIRST_NIGHT)
    require(story.run(history(until, logs.day(1))) == "success", "the history is loaded")
    require(story.night(FIRST_NIGHT) == "success", "the night is published")
    require(story.readers_see() == FIRST_NIGHT, "readers see it")
    return f"published, {story.publication(FIRST_NIGHT)[C.USERS]} users"


def missed(story: Story) -> str:
    """Three nights without a scheduler."""
    for number in (28, 29, 30, 31):
        story.logs.deliver(story.logs.day(number))
    before = len(story.messages)
    require(story.night(31) == "success", "the night goes on")
    require(all(story.events(number) for number in (28, 29, 30, 31)), "the missed days are in the tables")
    require(story.readers_see() == 31, "readers see the night")
    return _one(story, "hole", before)


def late(story: Story) -> str:
    """A file comes after its day was taken in."""
    logs = story.logs
    events = story.events(30)
    moment = datetime(*logs.day(30).timetuple()[:3], 9, tzinfo=UTC)
    extra = [shop.record(f"user-{user:02d}", "item-01", moment) for user in range(5)]
    logs.deliver(logs.day(30), extra, "late.jsonl")
    logs.deliver(logs.day(32))
    before = len(story.messages)
    require(story.night(32) == "success", "the night is published")
    require(story.events(30) == events + 5, "the late events are in the tables")
    require(story.readers_see() == 32, "readers see the night")
    return _one(story, "late_files", before)


def stopped(story: Story) -> str:
    """Half of a log is broken: its gate stops it, and the next night goes on without that day."""
    logs = story.logs
    good = logs.records(logs.day(33))
    file = logs.deliver(logs.day(33), good)
    # each another one: equal records are duplicates of one reject
    broken = "".join(f'{{"user_id": "cut off {number}\n' for number in range(len(good)))
    file.write_text(file.read_text() + broken)
    before = len(story.messages)
    said = story.night(33)
    require("critical expectation" in said, "the gate says what failed")
    require(story.events(33) == 0, "nothing of the day is in the tables")
    require(story.readers_see() == 32, "readers still see the last night")
    require(story.told("gate", before), "people are told")
    logs.deliver(logs.day(34))
    require(story.night(34) == "success", "the next night goes on")
    require(story.events(33) == 0, "still nothing of the bad day is in the tables")
    require(any("is left out" in what for what in story.told("hole", before)), "people are told what was left out")
    return said


def corrected(story: Story) -> str:
    """The broken log is corrected, and the next night takes it in."""
    logs = story.logs
    logs.deliver(logs.day(33))
    logs.deliver(logs.day(35))
    require(story.night(35) == "success", "the night is published")
    require(story.events(33) > 0, "the corrected day is in the tables")
    require(story.readers_see() == 35, "readers see the night")
    return "published; the corrected day came in before"


def hostile(story: Story) -> str:
    """A log of all that people put into files."""
    logs, day = story.logs, story.logs.day(36)
    good = logs.records(day)
    logs.deliver(day, good)
    folder = logs.landing / f"events/ds={day}"
    lines = [json.dumps(each) for each in good[:3]]
    header = ",".join(good[0])
    row = ",".join("" if value is None else str(value) for value in good[0].values())
    (folder / "part [1] *?.csv").write_text(f"{header}\n{row}\n{header}\n{row}\n")
    dirt = [
        json.dumps(good[0] | {"price": float("nan"), "quantity": 2}),
        json.dumps(good[0] | {"event_time": "9999-12-31T23:59:59Z"}),
        json.dumps(good[0] | {"user_id": "u" * 10_240}),
        json.dumps(good[0] | {"user_id": "bell\x07\x1f"}),
        '{"user_id": "' + "x" * 50_000_000 + '"}',
        "\x00\x01 no record",
    ]
    with gzip.open(folder / "dirt.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join([*lines, *dirt]) + "\n")
    said = story.night(36)
    require(said == "success", f"the night is published, not: {said}")
    require(story.readers_see() == 36, "readers see the night")
    return "published; what is no event is in the rejects"


def repeated(story: Story) -> str:
    """A log repeats the day before, which is then delivered anew without half of its records."""
    logs = story.logs
    yesterday, today = logs.records(logs.day(36)), logs.records(logs.day(37))
    logs.deliver(logs.day(37), [*yesterday, *today])
    require(story.night(37) == "success", "the night is published")
    ids = _ids(story)
    half = yesterday[: len(yesterday) // 2]
    for file in (logs.landing / f"events/ds={logs.day(36)}").glob("[!_]*"):
        file.unlink()
    logs.deliver(logs.day(36), half)
    require(story.night(37) == "success", "the night runs again")
    lost = ids - _ids(story)
    # of the hostile files some were events of their own
    require(len(lost) <= 4, f"no event that the 37th has too is lost, but {len(lost)} are")
    require(story.readers_see() == 37, "readers see the night")
    return f"published; {len(ids)} events of the two days, each once; {len(_ids(story))} after the new delivery"


def newer_model(story: Story) -> str:
    """The weekly model is made and promoted; the catalogue changes on the 38th."""
    logs = story.logs
    end = logs.day(38)
    require(story.run(model(end)) == "success", "the model is made")
    mlflow = registry.client(story.settings)
    made = str(registry.model_with(story.settings, registry.CHALLENGER))
    require(made.startswith(str(end)), "the challenger is that of the run")
    registry.promote(mlflow, made)
    logs.deliver_catalogue(logs.day(38), shop.catalogue(brand="new brand"))
    logs.deliver(logs.day(38))
    require(story.night(38) == "success", "the night is published")
    require(story.publication(38)[C.MODEL_ID] == made, "it scores with the new model")
    return f"published with model {made}"


def backfilled(story: Story) -> str:
    """Nights of the past, started from the UI's form, three at once."""
    logs = story.logs
    then = story.publication(32)
    catalogue_now = _texts(story, 38)
    # the form takes the last night in, too
    bounds = Interval(logs.day(31), logs.day(33)).bounds(story.settings.shop.zone)
    story.api.backfill(NIGHTLY, *bounds, at_once=3)
    runs = _wait_for_backfill(story)
    require(all(run["state"] == "success" for run in runs), "the nights are published")
    require(all(one["end_date"] <= next_["end_date"] for one, next_ in pairwise(runs)), "they ran in order")
    again = story.publication(32)
    require(again[C.CONTENT_HASH] == then[C.CONTENT_HASH], "the night gives what it gave then")
    require(again[C.MODEL_ID] == then[C.MODEL_ID], "with the model of its time")
    require(not knows_later(again[C.MODEL_ID], logs.day(33)), "which knows nothing of what came after")
    require(_texts(story, 38) == catalogue_now, "today's catalogue is as it was")
    require(story.readers_see() == 38, "readers see the newest night")
    return f"published in order, as then, with model {again[C.MODEL_ID]}"


def before_any_model(story: Story) -> str:
    """A night of a time when there was no model."""
    require(story.night(26) == "success", "the night is published")
    row = story.publication(26)
    require(row[C.MODEL_AS_OF] > story.logs.day(27), "its row says that the model knows later events")
    try:
        published_hash(story.settings, story.logs.day(26))
    except InputError as error:
        require(story.readers_see() == 38, "readers see the newest night")
        return f"hindsight leaves it out: {error}"
    require(False, "hindsight leaves it out")
    return ""


def held(story: Story) -> str:
    """The audit finds fault with the lists."""
    logs, file = story.logs, story.settings.home / "nightshift.toml"
    logs.deliver(logs.day(39))
    file.write_text(f'{SETTINGS}\n[audit]\ntaste = "critical"\nmax_top_item_share = 0.0\n')
    before = len(story.messages)
    said = story.night(39)
    file.write_text(SETTINGS)
    require("is held" in said, "the night is held")
    require(story.readers_see() == 38, "readers still see the last night")
    require(story.told("held", before), "people are told")
    return said


def killed(story: Story) -> str:
    """The gate's process is killed while it takes the day in; Airflow tries again."""
    stop = threading.Event()
    victims: list[int] = []

    def hunt() -> None:
        while not stop.is_set() and not victims:
            for process in psutil.process_iter(["cmdline"]):
                command = " ".join(process.info["cmdline"] or ())
                if "spark_jobs/validate.py" in command and "python" in command.partition(" ")[0]:
                    time.sleep(6)
                    process.kill()
                    victims.append(process.pid)
            time.sleep(0.5)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        said = story.night(39)
    finally:
        stop.set()
        hunter.join()
    require(victims, "a process was killed")
    require(said == "success", "the night is published all the same")
    require(story.readers_see() == 39, "readers see the night")
    return "published at the second try"


def drifted(story: Story) -> str:
    """The shop is another one: strangers, who look and do not buy. A fine-tuning starts once the night is published."""
    logs, day, file = story.logs, story.logs.day(39), story.settings.home / "nightshift.toml"
    moment = datetime(*day.timetuple()[:3], 12, tzinfo=UTC)
    pairs = [(user, item) for user in range(STRANGERS) for item in range(5)]
    views = [shop.record(f"stranger-{user:03d}", f"item-{item:02d}", moment, "view") for user, item in pairs]
    logs.deliver(day, [*logs.records(day), *views])
    # so small a shop has fewer events than a share needs; and at once, what else takes a week
    file.write_text(f"{SETTINGS}\n[drift]\nmin_events = 100\nlasting_days = 0\nmin_days_between = 1\n")
    before = len(story.messages)
    said = story.night(39)
    file.write_text(SETTINGS)
    require(said == "success", f"the night is published, not: {said}")
    require(story.readers_see() == 39, "readers see the night")
    runs = [
        run for run in story.api.runs_of_type(WEEKLY, "operator_triggered") if run["dag_run_id"].startswith(AFTER_DRIFT)
    ]
    require([run["state"] for run in runs] == ["success"], "one fine-tuning was started by it, and has ended well")
    made = str(registry.model_with(story.settings, registry.CHALLENGER))
    require(made.startswith(str(logs.day(40))), "its model is as of the day after the night")
    return _one(story, "drift", before)


def waited_for(story: Story) -> str:
    """The logs of the newest night are late; at the deadline it is not published."""
    logs, day = story.logs, story.logs.day(40)
    before = len(story.messages)
    now = datetime.now(UTC)

    def deliver_when_told() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not story.told("late", before) and time.monotonic() < deadline:
            time.sleep(1)
        bounds = Interval.of_night(day).bounds(story.settings.shop.zone)
        story.api.start("watch_nights", f"watch--{now:%H-%M-%S}", now, bounds, {})
        while not story.told("missing", before) and time.monotonic() < deadline:
            time.sleep(1)
        logs.deliver(day)

    courier = threading.Thread(target=deliver_when_told)
    courier.start()
    said = story.night(40)
    courier.join()
    require(said == "success", f"the night is published once its logs are there, not: {said}")
    require(story.told("late", before), "people are told that the logs are late")
    require(story.told("missing", before), "people are told that the night is not published at its deadline")
    require(story.readers_see() == 40, "readers see the night")
    return f"{story.told('late', before)[0]} {story.told('missing', before)[0]}"


SCENARIOS = (
    Scenario("An ordinary night", "26 days are loaded as a history, the 27th is a night", ordinary),
    Scenario("Missed days", "no scheduler runs for three nights; then the night of the 31st does", missed),
    Scenario("Late files", "a file of the 30th comes after its day was taken in", late),
    Scenario("A day that fails its gate", "half of the 33rd's log is broken; the 34th's is not", stopped),
    Scenario("Corrected", "the 33rd's log is corrected", corrected),
    Scenario("Hostile files", "a repeated header, odd names, NaN, year 9999, long ids, a line of 50 MB", hostile),
    Scenario("The same event in two days", "the 37th repeats the 36th, which is delivered anew, halved", repeated),
    Scenario("A new model and catalogue", "a model as of the 38th is promoted, the catalogue changes", newer_model),
    Scenario("A backfill from the UI", "the 31st to the 33rd again, all at once", backfilled),
    Scenario("A night older than all models", "the 26th, of which there was no model", before_any_model),
    Scenario("A held night", "the audit finds fault with the lists of the 39th", held),
    Scenario("A killed job", "the gate of the 39th is killed", killed),
    Scenario("Drift", "many strangers come on the 39th, who look and do not buy", drifted),
    Scenario("Logs that are late", "the 40th's logs come after two deadlines", waited_for),
)


def _one(story: Story, kind: str, before: int) -> str:
    """The one message of a kind that people got."""
    found = story.told(kind, before)
    require(len(found) == 1, f"people are told once of: {kind}, not {len(found)} times")
    return found[0]


def _ids(story: Story) -> set[str]:
    """Ids of the events of the 36th and after."""
    import pyarrow.dataset as pads

    rows = lake.arrow(story.settings, EVENTS, [C.EVENT_ID], pads.field(C.DS) >= story.logs.day(36))
    return set(rows[C.EVENT_ID].to_pylist())


def _texts(story: Story, number: int) -> dict[str, str]:
    """The texts of the catalogue of a night."""
    rows = catalogue.arrow(story.settings, Edition(story.logs.day(number)), [C.ITEM_ID, C.TEXT]).to_pylist()
    return {row[C.ITEM_ID]: row[C.TEXT] for row in rows}


def _wait_for_backfill(story: Story) -> list[dict[str, str]]:
    """The runs of the backfill, when all have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        runs = story.api.runs_of_type(NIGHTLY, "backfill")
        if runs and all(run["state"] in ("success", "failed") for run in runs):
            return runs
        require(time.monotonic() < deadline, "the backfill ends")
        time.sleep(3)
