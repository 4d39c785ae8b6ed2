"""Sends a folder to the executors, and opens it there once a worker, checked against its manifest."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from models import artifact

Opened = TypeVar("Opened")

_opened: dict[str, Any] = {}
"""What this worker process has loaded, by manifest hash: workers are kept from batch to batch and task to task."""


@dataclass(frozen=True)
class Shipment:
    """A folder that was sent: small enough to travel inside a function."""

    name: str
    manifest_hash: str

    def open(self, load: Callable[[Path], Opened]) -> Opened:
        """Loads the folder on a worker; the second call in the same process gives the same object.

        Raises:
            ModelError: what arrived is not what was sent.
        """
        if self.manifest_hash not in _opened:
            folder = Path(SparkFiles.get(self.name))
            artifact.verify(folder, self.manifest_hash)
            _opened[self.manifest_hash] = load(folder)
        opened: Opened = _opened[self.manifest_hash]
        return opened


def ship(spark: SparkSession, folder: Path) -> Shipment:
    """Closes ``folder`` with a manifest and sends it to every executor. Its name must be new to the application.

    As an archive: Spark sends folders only to executors inside the driver.
    """
    manifest_hash = artifact.write_manifest(folder, {})
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:  # weights do not compress
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            packed.write(file, file.relative_to(folder))
    spark.sparkContext.addArchive(f"{archive}#{folder.name}")
    return Shipment(folder.name, manifest_hash)
