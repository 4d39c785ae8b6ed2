"""Airflow pools: one slot for each written table, one for the GPU. The DAGs use them, set-up creates them."""

from __future__ import annotations

from contracts.tables import TABLES, Table

GPU = "gpu"
"""Pool and queue of the tasks that fine-tune."""


def write_pool(table: Table) -> str:
    """Pool that a task takes while it writes ``table``, so that two runs never write it at once."""
    return f"write_{table.name}"


POOLS: dict[str, str] = {
    **{write_pool(table): f"writers of the table {table.name}" for table in TABLES.values()},
    GPU: "fine-tuning: one task a GPU",
}
"""All pools and what they guard. Each has one slot."""
