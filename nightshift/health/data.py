"""What the nights left behind: the lake's tables, and the champion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import NightshiftError
from contracts.fallback import is_own
from contracts.locks import FOLDER
from contracts.places import is_remote
from contracts.s3 import require_conditional_writes
from contracts.settings import Settings
from contracts.states import newest_published
from contracts.tables import EVENTS, PUBLICATIONS, RECOMMENDATIONS, TABLES, Table
from nightshift.health.check import PROBLEM, Check, ok, problem, warning


def tables(settings: Settings) -> Iterator[Check]:
    """Which tables there are, whether they are those of the contracts, and the newest night's rows."""
    if is_remote(settings.lake):
        store = _store(settings)
        yield store
        if store.state == PROBLEM:
            return
    there = [table for table in TABLES.values() if lake.exists(settings, table)]
    if not there:
        yield warning("Lake", f"{settings.lake} has no tables yet", "Run a night, or the demo: `make run`.")
        return
    broken = {table.name: told for table in there if (told := _fault(settings, table))}
    if broken:
        for told in broken.values():
            yield problem("Lake", told, "Delete the table and run the step that writes it again, or migrate it.")
    else:
        absent = ", ".join(name for name in TABLES if name not in {table.name for table in there})
        yield ok("Lake", f"{len(there)} of {len(TABLES)} tables" + (f"; not written yet: {absent}" if absent else ""))
    if not {EVENTS.name, PUBLICATIONS.name, RECOMMENDATIONS.name} & broken.keys():
        yield _newest(settings)
    yield _half_written(settings)


def _store(settings: Settings) -> Check:
    """Whether the store of the lake answers, and keeps two writers of a table apart."""
    try:
        require_conditional_writes(settings.lake / FOLDER)
    except NightshiftError as error:
        return problem("Store", str(error), "Without it no night can write.")
    return ok("Store", f"{settings.lake} answers, and refuses to replace what must not be replaced")


def _fault(settings: Settings, table: Table) -> str | None:
    """What is wrong with a table."""
    from deltalake.exceptions import DeltaError

    try:
        lake.dataset(settings, table)
    except NightshiftError as error:
        return str(error)
    except (DeltaError, OSError) as error:
        return f"Table {lake.path(settings, table)} cannot be read: {str(error).partition(chr(10))[0]}"
    return None


def _newest(settings: Settings) -> Check:
    """The lists that readers get."""
    import pyarrow as pa
    import pyarrow.dataset as pads

    name = "Newest night"
    try:
        live = newest_published(lake.rows(settings, PUBLICATIONS))
        if live is None:
            return warning(name, "nothing was published yet", "Run a night: `make night DS=YYYY-MM-DD`.")
        ds: date = live[C.DS]
        lists = lake.count(settings, RECOMMENDATIONS, (pads.field(C.DS) == ds) & is_own(pads.field))
        events = lake.count(settings, EVENTS, {C.DS: ds})
    except (OSError, pa.ArrowInvalid) as error:  # a file is gone or damaged
        told = str(error).partition("\n")[0]
        return problem(
            name, f"cannot be read: {told}", "Restore the file, or run the step that writes the table again."
        )
    if lists != live[C.USERS]:
        return problem(
            name,
            f"{ds}: {lists:,} lists in recommendations, but publications says {live[C.USERS]:,}",
            f"Publish the night again: `make night DS={ds}`.",
        )
    return ok(name, f"{ds}: {lists:,} lists, {events:,} events, model {live[C.MODEL_ID]}")


def _half_written(settings: Settings) -> Check:
    """Folders of tables whose first write was killed."""
    name = "Half-written tables"
    folders = sorted(folder.name for folder in _table_folders(settings) if not lake.has_commit(folder))
    if folders:
        return warning(name, ", ".join(folders), "Nothing to do: the next write clears them away.")
    return ok(name, "none")


def _table_folders(settings: Settings) -> Iterator[Path]:
    staging = settings.lake / "staging"
    intakes = list(staging.glob("intake_*"))
    for parent in (settings.lake, staging, *intakes):
        if parent.is_dir():
            tables_there = (folder for folder in parent.iterdir() if folder.is_dir() and folder.name[0] != ".")
            yield from (folder for folder in tables_there if folder not in (staging, *intakes))


def champion(settings: Settings) -> Check:
    """The model that the nights use: registered, complete and undamaged."""
    from models import artifact
    from models.store import registry

    name, mend = "Champion", "Fine-tune a model: `make model AS_OF=YYYY-MM-DD`."
    file = registry.database_file(settings)
    if file is not None and not file.exists():  # opening it would make it
        return warning(name, f"there is no registry of models yet ({file})", "Run `make setup`.")
    try:
        model_id = registry.champion(settings)
        if model_id is None:
            return warning(name, "no model was promoted yet: the first night fine-tunes one", mend)
        folder = settings.models / model_id
        artifact.verify(folder)
    except NightshiftError as error:
        return problem(name, str(error), mend)
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    return ok(name, f"{model_id}, {size / 1e6:.0f} MB, every file as its manifest says{_tracking()}")


def _tracking() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return f"; registry {uri}" if uri else ""
