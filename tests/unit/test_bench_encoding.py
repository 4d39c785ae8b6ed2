"""All who encode texts give the same vectors, but for int8; what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import InputError
from nightshift.bench_encoding import contenders
from nightshift.bench_encoding.contenders import OURS, PLAIN
from nightshift.command.app import app

WORDS = ("milk", "bread", "rye", "tea", "green", "oil", "soap", "salt", "jam", "oats")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "item_text.txt"
    pairs = [f"{one} {other}" for one in WORDS for other in WORDS]
    file.write_text("".join(f"item{n} {each}\n" for n, each in enumerate([*pairs, "milk milk"])))
    return file


def test_everyone_encodes_the_same_texts_and_only_int8_is_off(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    written = tmp_path / "encoding.json"
    ran = CliRunner().invoke(
        app,
        ["bench-encoding", "--texts", str(texts), "--only", "int8", "--json", str(written)],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(written.read_text())
    assert (told["texts"], told["distinct"]) == (101, 100)
    of = {each["name"]: each for each in told["contenders"]}
    assert of[PLAIN]["least_cosine"] == pytest.approx(1, abs=1e-5)
    # texts that are equally close change their order by a rounding
    assert of[PLAIN]["same_nearest"] > 0.999
    assert 0.8 < of["nightshift, int8"]["least_cosine"] < 0.9999
    assert of[OURS]["texts_per_second"] > 0


def test_an_engine_that_is_asked_for_and_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda _: None)
    assert "openvino" not in contenders.chosen(())
    with pytest.raises(InputError, match="openvino is not installed: pip install openvino"):
        contenders.chosen(("openvino",))


def test_without_a_catalogue_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    ran = CliRunner().invoke(app, ["bench-encoding"])
    assert ran.exit_code == InputError.exit_code
    assert "give --texts" in ran.output
