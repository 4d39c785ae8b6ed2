"""`nightshift bench-model` from files to a table, on a tiny shop that can be learnt, and with wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.settings import Settings
from contracts.tables import INGEST_COUNTS
from nightshift.command.app import app
from tests.commands import command
from tests.factories import NIGHT, counted
from tests.lakes import ArrowLake


def test_files_become_one_table(
    sequence_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    (tmp_path / "nightshift.toml").write_text(
        "[training.tower]\nsteps = 2\n[training.encoder]\nmin_steps = 100\n[training.ranker]\nmin_steps = 100\n"
        "[training.pair_model]\nuse = 'distilled'\nsteps = 1\nbatch = 1\nbest = 10\nreranked = 10\n"
        "distilled_pairs = 10\n"
    )
    written, page = tmp_path / "bench.json", tmp_path / "bench.html"
    sequences, texts = map(str, sequence_files)
    told = CliRunner().invoke(
        app,
        [
            "bench-model", "--sequences", sequences, "--texts", texts, "--json", str(written),
            "--html", str(page), "--only", "our model,no ranker,no pair,popular,item_knn,warm start",
        ],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    outcome = json.loads(written.read_text())
    assert [(each["name"], each["why"][:35]) for each in outcome["absent"]] == [
        ("· warm start", "it goes on from the week before, an")
    ]
    results = {each["name"]: each for each in outcome["results"]}
    assert set(results) == {"our model", "· no ranker", "· no pair model", "popular_7_days", "item_knn"}
    ours, popular = results["our model"], results["popular_7_days"]
    assert ours["users"] == 160
    assert {"ndcg@10", "recall@20", "mrr@10", "hit_rate@20", "coverage@10", "novelty@10"} <= set(ours["metrics"])
    assert popular["gain"]["low"] > 0
    assert popular["gain"]["mean"] == pytest.approx(ours["metrics"]["ndcg@10"] - popular["metrics"]["ndcg@10"])
    assert ours["gain"] is None
    assert results["· no pair model"]["users"] == 160
    assert {"all", "items: new to the user", "users: short history"} <= set(ours["segments"])
    assert "our model" in told.stdout
    assert "<svg" in page.read_text()
    assert "<script" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--sequences", "a"], 2, "belong together"),
        (["--sequences", "/nowhere/a", "--texts", "/nowhere/b"], 65, "/nowhere/a is not there"),
        (["--until", "yesterday"], 2, "expected a day"),
        ([], 65, "has taken in no logs"),
    ],
)
def test_wrong_arguments_are_a_sentence(arguments: list[str], code: int, told: str, settings: Settings) -> None:
    done = command(settings, "bench-model", *arguments)
    assert done.exit_code == code
    assert told in " ".join(done.output.replace("│", " ").split())


def test_a_window_that_is_not_over_is_refused(arrow_lake: ArrowLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(arrow_lake.settings.home))
    arrow_lake.write(INGEST_COUNTS, [counted(NIGHT, 9)])
    done = CliRunner().invoke(app, ["bench-model", "--until", str(NIGHT)])
    assert done.exit_code == 65
    assert f"taken in up to {NIGHT}, so the last one that can be predicted begins on 2017-12-17" in done.output
