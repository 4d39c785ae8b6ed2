"""A folder of safetensors and JSON with a manifest of hashes, written last, that every reader checks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.cli import log
from contracts.errors import ModelError

MANIFEST = "manifest.json"

BEFORE_NEWEST = "before_newest.safetensors"
"""Beside a judged model: the encoder from which it is refitted. Nobody else reads it."""

PAIR_MODEL = "pair_model"
"""Folder beside a model whose nights read with a pair model: its transformer and its head."""

CURVES = "training.json"
"""Beside the model: the training's curves, the weight of the ranker's features, its cost, what was cut of the texts."""

STARTED_FROM, IN_A_ROW = "started_from", "warm_starts_in_a_row"
"""What a model says, there too, of the one that its training went on from, and the how-manieth such training it was."""


def file_hash(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def told_of_training(folder: Path) -> dict[str, Any]:
    """What stands in `CURVES` of the model in ``folder``; nothing where the folder is gone, or has none."""
    file = folder / CURVES
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def known_run(folder: Path) -> str | None:
    """MLflow's run of the model in ``folder``; None where there is none, or a damaged one, which is made anew."""
    if not folder.exists():
        return None
    try:
        run_id = str(verify(folder)["mlflow_run"])
    except ModelError as error:
        log.warning("%s It is made anew.", error)
        return None
    log.info("Model %s is there already.", folder.name)
    return run_id


def write_manifest(folder: Path, about: Mapping[str, Any]) -> str:
    """Writes the manifest of all files below ``folder`` and gives its own hash."""
    files = {
        str(file.relative_to(folder)): file_hash(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({**about, "files": files}, indent=1, sort_keys=True) + "\n")
    return file_hash(manifest)


def verify(folder: Path, manifest_hash: str | None = None) -> dict[str, Any]:
    """Checks every file against the manifest and gives the manifest.

    Args:
        folder: Folder that `write_manifest` closed.
        manifest_hash: If given, the manifest itself must have this hash.

    Raises:
        ModelError: names every file that is missing, changed or not listed.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise ModelError(f"{folder} has no {MANIFEST}: it is not a complete artifact. Make it again.")
    if manifest_hash is not None and file_hash(manifest) != manifest_hash:
        raise ModelError(f"{manifest} is not the manifest that was sent (hash differs). Start the job again.")
    try:
        about: dict[str, Any] = json.loads(manifest.read_text())
        listed: dict[str, str] = about["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{manifest} is damaged ({error!r}). Make the artifact again.") from error
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {MANIFEST}
    problems = [f"{name} is missing" for name in sorted(set(listed) - there)]
    problems += [f"{name} is not in the manifest" for name in sorted(there - set(listed))]
    problems += [
        f"{name} has changed" for name in sorted(there & set(listed)) if file_hash(folder / name) != listed[name]
    ]
    if problems:
        raise ModelError(f"{folder} does not match its manifest: {'; '.join(problems)}. Make it again.")
    return about
