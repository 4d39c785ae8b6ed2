"""Assets: the tables of the lake, as Airflow shows them in its lineage."""

from __future__ import annotations

from airflow.sdk import Asset

from contracts.tables import Table


def assets(*tables: Table) -> list[Asset]:
    """The assets of ``tables``, as outlets of the task that writes them.

    The address names the table, not the folder of the lake: lineage stays the same when the lake moves.
    """
    return [
        Asset(name=table.name, uri=f"lake://nightshift/{table.name}", group="lake", extra={"doc": table.doc})
        for table in tables
    ]
