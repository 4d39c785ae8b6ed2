"""A folder is complete or absent, and a reader notices any change."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import ModelError
from contracts.files import complete_or_absent
from models import artifact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "tower").mkdir(parents=True)
    (made / "a.json").write_text("{}")
    (made / "tower" / "b.safetensors").write_bytes(b"123")
    artifact.write_manifest(made, {"model_id": "m"})
    return made


def test_what_was_written_verifies(folder: Path) -> None:
    about = artifact.verify(folder, artifact.file_hash(folder / artifact.MANIFEST))
    assert about["model_id"] == "m"
    assert set(about["files"]) == {"a.json", "tower/b.safetensors"}


def test_every_difference_is_named_in_one_error(folder: Path) -> None:
    (folder / "a.json").write_text("[]")
    (folder / "tower" / "b.safetensors").unlink()
    (folder / "c.json").write_text("")
    with pytest.raises(ModelError) as error:
        artifact.verify(folder)
    for part in ("a.json has changed", "tower/b.safetensors is missing", "c.json is not in the manifest"):
        assert part in str(error.value)


def test_another_manifest_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="hash differs"):
        artifact.verify(folder, "0" * 64)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a complete artifact"):
        artifact.verify(tmp_path)


def test_a_killed_write_leaves_the_old_folder(folder: Path) -> None:
    def killed() -> None:
        with complete_or_absent(folder) as draft:
            (draft / "half.json").write_text("{")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    artifact.verify(folder)
    with complete_or_absent(folder) as draft:
        (draft / "new.json").write_text("{}")
    assert [file.name for file in folder.iterdir()] == ["new.json"]
