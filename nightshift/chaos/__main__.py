"""Replays nights that go wrong on generated logs of 40 days, through the real scheduler, and prints what came of each.

    python -m nightshift.chaos                  # about 20 minutes, in chaos/ below NIGHTSHIFT_HOME
    python -m nightshift.chaos --docs FILE      # and writes the table into a page

What is promised is checked: a promise that is not kept is in the table, and the exit code is 1. The days end yesterday,
so that the newest night is one that still waits for its logs. What is there from a run before is deleted.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.cli import argument, main
from contracts.errors import NightshiftError
from contracts.files import write_atomically
from contracts.settings import Settings, load_settings
from nightshift.chaos.scenarios import SCENARIOS, Scenario
from nightshift.chaos.shop import DAYS, Logs
from nightshift.chaos.story import SETTINGS, Broken, Story, told
from nightshift.runtime.environment import environment
from nightshift.runtime.home import prepare

LONGEST = 300
"""Characters of what a night said that the table shows."""

HEAD = ("what went wrong", "what was done", "what the night said", "readers saw", "raw = clean + rejected + duplicates")

PAGE = """# Nights that go wrong

`make chaos-data` replays each of these on generated logs of 40 days, through the real scheduler, and checks what is
promised. On {today} it printed this table; day 1 was {first}, day 40 {last}.

{table}
`make test` keeps a fast selection: `tests/spark/test_intake.py` and `test_hostile_files.py` (days, files, kills),
`tests/dags/test_waiting.py`, `test_alerts.py` and `test_drift.py` (the scheduler), `tests/unit/test_gaps.py`.
"""
"""The page of the docs."""


@dataclass(frozen=True)
class Arguments:
    """Where the table goes besides the screen."""

    docs: Path | None = argument("page that the table is written to", metavar="FILE", default=None)


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario; the cells of its row."""

    scenario: Scenario
    said: str
    readers: str
    balance: str
    kept: bool
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        """The row."""
        return (self.scenario.title, self.scenario.what, shortened(self.said), self.readers, self.balance)


def run(settings: Settings, arguments: Arguments) -> None:
    """Plays all scenarios, prints the table, and ends with 1 where a promise was not kept.

    Raises:
        NightshiftError: the home could not be prepared, or Airflow did not start.
    """
    own = own_home(settings)
    logs = Logs(own.landing, datetime.now(UTC).date())
    print(f"{len(SCENARIOS)} scenarios on the days {logs.day(1)} … {logs.day(DAYS)}, in {own.home}", flush=True)
    prepare(own)
    os.environ.update(environment(own, os.environ))
    with told(own, logs) as story:
        outcomes = [outcome(story, scenario) for scenario in SCENARIOS]
    table = markdown([each.cells for each in outcomes]).replace(f"{own.home}/", "")
    print(f"\n{table}", flush=True)
    if arguments.docs:
        page = PAGE.format(today=datetime.now(UTC).date(), first=logs.day(1), last=logs.day(DAYS), table=table)
        write_atomically(arguments.docs, page)
    broken = [each for each in outcomes if not each.kept]
    if broken:
        print(f"{len(broken)} of {len(outcomes)} broke a promise: {', '.join(e.scenario.title for e in broken)}.")
        sys.exit(1)
    print(f"All {len(outcomes)} kept what was promised. To look around: NIGHTSHIFT_HOME={own.home}")


def own_home(settings: Settings) -> Settings:
    """The empty home of the story, below the outer one; takes the outer one's Airflow out of this process."""
    home = settings.home / "chaos"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "nightshift.toml").write_text(SETTINGS)
    # make runs this with the outer home's environment, which names its database and logs
    for name, value in environment(settings, {}).items():
        if os.environ.get(name) == value:
            del os.environ[name]
    os.environ["NIGHTSHIFT_HOME"] = str(home)
    return load_settings()


def outcome(story: Story, scenario: Scenario) -> Outcome:
    """Plays a scenario."""
    print(f"\n== {scenario.title}: {scenario.what}", flush=True)
    begun, kept, balance = time.monotonic(), True, ""
    try:
        said = scenario.play(story)
        balance = story.require_balance()
    except (Broken, NightshiftError) as error:
        said, kept = f"BROKEN: {error}", False
    readers = story.readers_see()
    seconds = time.monotonic() - begun
    print(f"== {'kept' if kept else 'BROKEN'} in {seconds:.0f} s: {shortened(said)}", flush=True)
    return Outcome(scenario, said, f"day {readers}" if readers else "nothing", balance, kept, seconds)


def shortened(text: str) -> str:
    """A text as a cell of a table."""
    one_line = " ".join(text.split()).replace("|", "\\|")
    return one_line if len(one_line) <= LONGEST else f"{one_line[: LONGEST - 1]}…"


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A table."""
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    main(__doc__, Arguments, run)
