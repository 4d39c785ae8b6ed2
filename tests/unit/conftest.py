"""A small lake without Spark."""

from __future__ import annotations

import pytest

from contracts.settings import Settings
from tests.lakes import ArrowLake


@pytest.fixture
def arrow_lake(settings: Settings) -> ArrowLake:
    """The test's own lake."""
    return ArrowLake(settings)
