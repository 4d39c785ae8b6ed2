"""A small lake without Spark, and a small shop in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.settings import Settings
from tests.lakes import ArrowLake


@pytest.fixture
def arrow_lake(settings: Settings) -> ArrowLake:
    """The test's own lake."""
    return ArrowLake(settings)


@pytest.fixture(scope="session")
def sequence_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sequences and texts of users who walk through the items of one kind, from another start each."""
    folder = tmp_path_factory.mktemp("sequences")
    random = np.random.default_rng(0)
    kinds = ("tea", "soap", "pens", "lamps")
    lines = []
    for user in range(160):
        kind, start = user % 4, random.integers(0, 8)
        walk = [f"{kinds[kind]}{(start + step) % 8}" for step in range(random.integers(4, 8))]
        lines.append(" ".join([f"u{user}", *walk]))
    (folder / "sequences.txt").write_text("\n".join(lines))
    (folder / "texts.txt").write_text("\n".join(f"{kind}{n} {kind} number {n}" for kind in kinds for n in range(8)))
    return folder / "sequences.txt", folder / "texts.txt"
