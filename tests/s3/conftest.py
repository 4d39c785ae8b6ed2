"""The S3 server that all tests of the folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.object_store import ObjectStore, object_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, nothing_from_outside: None) -> Iterator[ObjectStore]:
    """The server, with its credentials in the environment as a machine has them."""
    with object_store(tmp_path_factory.mktemp("store")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environ.items():
            patch.setenv(name, value)
        yield running
