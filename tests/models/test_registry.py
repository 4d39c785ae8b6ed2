"""Which model a job uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import registry
from spark_jobs.contracts.errors import ModelError
from spark_jobs.contracts.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with two model folders, a draft of a third, and a registry that knows none of them."""
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


def test_without_a_name_the_champion_is_used(settings: Settings) -> None:
    with pytest.raises(ModelError, match="has no champion"):
        registry.chosen_folder(settings, None)
    mlflow = registry.client(settings)
    for name in ("a", "b"):
        run_id = registry.start_run(mlflow, name, {}, {})
        registry.register(settings, mlflow, name, run_id)
    registry.promote(mlflow, "a")
    assert registry.chosen_folder(settings, None) == settings.models / "a"
    assert registry.find(mlflow, registry.CHALLENGER) == "b"
