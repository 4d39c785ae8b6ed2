"""Peers: events go out, lists come in and are measured like everyone's; scripts of ours stand for another library."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.errors import NightshiftError
from models.evaluation import GATE, N
from models.histories import DAY
from nightshift.bench_model import protocols
from nightshift.bench_model.contest import Absent, Entry, told
from nightshift.bench_model.files import Sequences, catalogue_of
from nightshift.bench_model.peers.environment import python_of_peers
from nightshift.bench_model.peers.exchange import Peers, lists_of
from nightshift.bench_model.protocols import Case
from nightshift.bench_model.results import together, values_of
from nightshift.command.app import app

ITEMS = 30
READ = """
import sys, time
from pathlib import Path
import numpy as np
folder = Path(sys.argv[2])
events = {key: value for key, value in np.load(folder / "events.npz").items()}
judged, n = events["judged"], int(events["n"])
def write(lists): np.savez(folder / "lists.npz", lists=lists, fit_seconds=1.5, score_seconds=0.25)
"""
NEXT = """
assert (np.diff(events["user"]) >= 0).all() and events["strength"].min() == 1
lists = np.full((len(judged), n), -1)
for row, user in enumerate(judged):
    own = events["item"][events["user"] == user]
    times = events["time"][events["user"] == user]
    assert (np.diff(times) > 0).all()
    after = [item for item in range(own[-1] + 1, own[-1] + 1 + n)]
    lists[row] = [item if item < 30 and not (events["filter_viewed"] and item in own) else -1 for item in after]
write(lists)
"""


def walks(case_items: int = ITEMS) -> Case:
    """Users who walk from item to item, one step a time; the first of them has too few to be judged."""
    walked = [[0, 1], *([start + step for step in range(4)] for start in range(20))]
    catalogue = catalogue_of([f"i{number}" for number in range(case_items)], {})
    return protocols.leave_one_out("walks", Sequences([f"u{number:02d}" for number in range(21)], walked, catalogue))


def peers(folder: Path, doing: str, limit_seconds: float = 60) -> Peers:
    script = folder / "a_script.py"
    script.write_text(READ + doing)
    return Peers(Path(sys.executable), ("next",), limit_seconds, script)


def test_lists_of_a_script_are_a_row_of_the_table(tmp_path: Path) -> None:
    case = walks()
    [entry] = lists_of(case, "next", peers(tmp_path, NEXT))
    users, relevant, _ = case.judged
    assert users.tolist() == list(range(1, 21))
    assert entry.lists.shape == (20, N)
    assert entry.lists[:, 0].tolist() == relevant.items.tolist()
    assert (entry.name, entry.fit_seconds, entry.score_seconds) == ("peer: rectools next", 1.5, 0.25)
    [row] = together([("walks", values_of(case, entry), entry)])
    assert (row.users, row.metrics[GATE], row.interval) == (20, 1.0, (1.0, 1.0))
    # one place later for everyone: worth 1 / log2(3)
    later = Entry("our model", np.roll(entry.lists, 1, axis=1), 0, 0)
    rows = together([("walks", values_of(case, each), each) for each in (entry, later)])
    gain = rows[0].gain
    assert gain is not None
    assert gain.mean == pytest.approx(1 / np.log2(3) - 1)
    assert gain.low <= gain.mean <= gain.high < 0


def test_what_is_excluded_is_taken_off_whatever_the_script_lists(tmp_path: Path) -> None:
    case = walks()
    # only what they had in the last week: the script has to list more, and is not told to leave anything out
    some = Case(case.name, case.catalogue, case.users, case.histories, case.behaviours, case.now, case.horizon, {0: 7})
    everything = "assert n == 21 and not events['filter_viewed']\nwrite(np.tile(np.arange(n), (len(judged), 1)))"
    [entry] = lists_of(some, "all", peers(tmp_path, everything))
    newest = case.histories.between(case.now - 7 * DAY, case.now).items[1:]
    for own, listed in zip(newest.tolist(), entry.lists.tolist(), strict=True):
        assert listed == [item for item in range(N + 1) if item != own][:N]


@pytest.mark.parametrize(
    ("doing", "why"),
    [
        ("time.sleep(60)", "not done within 0.05 minutes, and ended"),
        ("raise SystemExit('no such model')", "a_script.py ended with exit code 1: no such model"),
        ("", "a_script.py ended with exit code 0: nothing was said"),
        (
            "write(np.zeros((3, n), int))",
            r"shape \(3, 20\) and type int64: expected whole numbers, a row for each of 20",
        ),
        ("write(np.full((20, n), 0.5))", "type float64: expected whole numbers"),
        ("write(np.arange(20 * n).reshape(20, n))", "listed items from 0 to 399: expected 0 to 29, or -1 for none"),
        ("write(np.full((20, n), 3))", "listed an item twice for a user"),
    ],
)
def test_a_peer_that_gives_no_lists_is_told_of_with_the_reason(tmp_path: Path, doing: str, why: str) -> None:
    limit = 3 if "sleep" in doing else 60
    made = lists_of(walks(), "next", peers(tmp_path, doing, limit))
    [absent] = list(told("peer: rectools next", made))
    assert isinstance(absent, Absent)
    assert absent.name == "peer: rectools next"
    assert re.search(why, absent.why), absent.why


def test_the_environment_is_made_once_and_anew_for_other_requirements(tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("# nothing\n")
    python = python_of_peers(tmp_path, wanted)
    left = python.parent / "left"
    left.touch()
    assert python_of_peers(tmp_path, wanted) == python
    assert left.exists()
    wanted.write_text("# nothing else\n")
    assert python_of_peers(tmp_path, wanted).exists()
    assert not left.exists()


def test_without_a_package_index_the_rest_is_measured_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("NIGHTSHIFT_HOME", str(tmp_path)), ("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", "")):
        monkeypatch.setenv(name, value)
    sequences, texts = tmp_path / "sequences.txt", tmp_path / "texts.txt"
    sequences.write_text("\n".join(f"u{user} a{user % 3} b{user % 4} c{user % 5} d" for user in range(30)))
    texts.write_text("d the same")
    written, page = tmp_path / "bench.json", tmp_path / "bench.html"
    done = CliRunner().invoke(
        app,
        [
            "bench-model", "--sequences", str(sequences), "--texts", str(texts), "--peers", "--only", "popular,peer",
            "--json", str(written), "--html", str(page),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told_of = json.loads(written.read_text())
    assert [each["name"] for each in told_of["results"]] == ["popular_7_days"]
    [absent] = told_of["absent"]
    assert absent["name"] == "the peers"
    assert "could not be made: ERROR: No matching distribution found for rectools" in absent["why"]
    assert absent["why"] in " ".join(done.stdout.split())
    assert "could not be made" in page.read_text()
    # pip's whole answer is kept, and a half-made environment is not taken for one
    assert (tmp_path / "bench-model" / "peers.log").exists()
    with pytest.raises(NightshiftError, match="could not be made"):
        python_of_peers(tmp_path)
