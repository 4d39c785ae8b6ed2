"""Which model a job uses."""

from __future__ import annotations

import shutil
import socket
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from contracts.errors import FINAL_EXIT_CODES, ModelError, RegistryError
from contracts.model_ids import knows_later
from contracts.settings import Settings, load_settings
from models.store import registry


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with two model folders and a draft of a third; the registry is not there yet."""
    made = load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    for name in ("a", "b", ".c.draft"):
        (made.models / name).mkdir(parents=True)
    return made


def test_a_named_model_is_used_whatever_the_registry_says(settings: Settings) -> None:
    assert registry.chosen_folder(settings, "a") == settings.models / "a"
    assert not registry.database_file(settings).exists()  # type: ignore[union-attr]


def test_an_unknown_model_is_refused_with_those_that_exist(settings: Settings) -> None:
    with pytest.raises(ModelError, match=r"no model 'z' in .*/models\. Models there: a, b\."):
        registry.chosen_folder(settings, "z")


@pytest.fixture
def registered(settings: Settings, prepared_mlflow: Path) -> Settings:
    """The same home with a registry that knows no model."""
    file = registry.database_file(settings)
    assert file
    file.parent.mkdir(parents=True)
    shutil.copy(prepared_mlflow, file)
    return settings


def test_without_a_name_the_champion_is_used(registered: Settings) -> None:
    settings = registered
    with pytest.raises(ModelError, match="has no champion"):
        registry.chosen_folder(settings, None)
    mlflow = registry.client(settings)
    for name in ("a", "b"):
        run_id = registry.start_run(mlflow, name, settings.training, {})
        registry.register(settings, mlflow, name, run_id, registry.CHALLENGER)
    registry.promote(mlflow, "a")
    assert [registry.was_promoted(mlflow, name) for name in ("a", "b", "c")] == [True, False, False]
    assert registry.chosen_folder(settings, None) == settings.models / "a"
    assert registry.model_with(settings, registry.CHALLENGER) == "b"


def test_a_night_of_the_past_uses_the_champion_of_its_time(registered: Settings) -> None:
    settings, mlflow = registered, registry.client(registered)
    assert registry.model_of_night(settings, date(2017, 12, 10)) is None
    for name in ("2017-12-02-a", "2017-12-09-b", "2017-12-09-loser", "2017-12-16-c"):
        registry.register(settings, mlflow, name, registry.start_run(mlflow, name, settings.training, {}))
        if "loser" not in name:
            registry.promote(mlflow, name)
    uses = {day: registry.model_of_night(settings, date(2017, 12, day)) for day in (1, 2, 8, 9, 15, 16, 30)}
    assert uses == {
        1: "2017-12-16-c",  # none was there yet: the champion, and the caller says so
        2: "2017-12-02-a", 8: "2017-12-02-a", 9: "2017-12-09-b", 15: "2017-12-09-b", 16: "2017-12-16-c",
        30: "2017-12-16-c",
    }  # fmt: skip
    # one that is made later for the nights of the past leaves the champion alone
    registry.register(settings, mlflow, "2017-12-08-d", registry.start_run(mlflow, "d", settings.training, {}))
    assert not registry.promote(mlflow, "2017-12-08-d")
    assert registry.champion(settings) == "2017-12-16-c"
    assert registry.model_of_night(settings, date(2017, 12, 8)) == "2017-12-08-d"
    assert [knows_later(str(uses[day]), date(2017, 12, day)) for day in (1, 2)] == [True, False]


def test_no_champion_is_only_a_missing_alias(registered: Settings) -> None:
    settings = registered
    assert registry.champion(settings) is None
    mlflow = registry.client(settings)
    registry.register(settings, mlflow, "a", registry.start_run(mlflow, "a", settings.training, {}))
    assert registry.champion(settings) is None


def test_without_a_champion_a_night_says_what_the_gate_had_against_the_challenger(registered: Settings) -> None:
    settings, mlflow = registered, registry.client(registered)
    run_id = registry.start_run(mlflow, "a", settings.training, {})
    registry.register(settings, mlflow, "a", run_id, registry.CHALLENGER)
    with pytest.raises(ModelError, match="has no champion of 'nightshift': run the DAG fine_tune_model first"):
        registry.chosen_folder(settings, None)
    registry.tag_gate(mlflow, "a", "kept out: it loses")
    with pytest.raises(ModelError, match=r"the gate has looked at a, kept out: it loses\. .*loosen \[gate\]"):
        registry.chosen_folder(settings, None)


def test_a_registry_that_cannot_be_reached_is_no_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="could not be reached"):
        registry.champion(settings)
    with pytest.raises(RegistryError):
        registry.chosen_folder(settings, None)
    assert RegistryError.exit_code not in FINAL_EXIT_CODES


def test_a_registry_that_cannot_be_read_is_no_answer(settings: Settings) -> None:
    file = registry.database_file(settings)
    assert file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryError, match="could not be reached or read"):
        registry.champion(settings)
