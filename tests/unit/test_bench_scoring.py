"""The contenders of bench-scoring find the same, and every part of a user is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import InputError
from contracts.settings import Settings
from nightshift.bench_scoring import cells, whole_user
from nightshift.bench_scoring.cells import Shape, measured
from nightshift.bench_scoring.contenders import APPROXIMATE, BOUND, CONTENDERS, EXCLUDING, OURS
from nightshift.bench_scoring.whole_user import ALL, cost
from nightshift.command.app import app


@pytest.mark.parametrize("threads", [1, 2])
def test_everyone_finds_what_the_kernel_finds(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(cells, "PAIRS", 1e6)
    rows = {each.name: each for each in measured(Shape(30_000, 16, 5, threads))}
    assert list(rows) == list(CONTENDERS)
    assert [name for name, each in rows.items() if each.same is None] == [EXCLUDING, BOUND]
    # vectors at random have no like ones: the worst case for lists of them
    assert 0.2 < (rows[APPROXIMATE].same or 0) <= 1
    exact = [each for name, each in rows.items() if name != APPROXIMATE]
    assert all(each.same is None or each.same > 0.999 for each in exact)
    assert rows[BOUND].of_bound == 1
    assert all(each.pairs_per_second > 0 for each in rows.values())


def test_only_those_that_are_asked_for_beside_ours_and_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "PAIRS", 1e6)
    names = [each.name for each in measured(Shape(2_000, 8, 5, 1), ("faiss",))]
    assert names == [OURS, "faiss IndexFlatIP", BOUND]


def test_every_part_of_a_user_is_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(whole_user, "ITEMS", 3_000)
    monkeypatch.setattr(whole_user, "USERS", 32)
    made = cost(Settings(home=tmp_path), 12)
    assert made.candidates > 100
    assert all(took > 0 for took in made.milliseconds.values())
    assert made.users_per_second == 1000 / made.milliseconds[ALL]


@pytest.mark.parametrize("wrong", ["many", "0", "-5", ""])
def test_numbers_that_are_none_are_refused(wrong: str) -> None:
    found = CliRunner().invoke(app, ["bench-scoring", "--items", wrong])
    assert found.exit_code == 2
    assert "expected whole numbers from 1" in found.output


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit", None)
    for name in [each for each in sys.modules if each.startswith(("nightshift.bench_scoring", "implicit."))]:
        monkeypatch.delitem(sys.modules, name)
    found = CliRunner().invoke(app, ["bench-scoring", "--no-spark"])
    assert found.exit_code == InputError.exit_code
    assert "implicit is not installed: pip install -r requirements-dev.txt" in found.output
