"""Prints the id of the champion model; its exit code tells whether there is one.

    python -m spark_jobs.champion

A process of its own, because what knows the champion (MLflow) is too heavy to import in Airflow.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from models.registry import folder_of
from spark_jobs.contracts.cli import entry
from spark_jobs.contracts.settings import Settings


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    print(folder_of(settings).name)


if __name__ == "__main__":
    entry(main)
