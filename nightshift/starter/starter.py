"""A first `mapping.toml` and `nightshift.toml` for a shop's logs, from a look at some of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.columns import Columns as C
from contracts.errors import SettingsError
from contracts.files import write_atomically
from contracts.settings import Ingest, Settings
from nightshift.starter.files import NEEDED, mapping_text, settings_text
from nightshift.starter.guess import RATED, Guess, guess_event, guess_item
from nightshift.starter.sample import Sample, look


@dataclass(frozen=True)
class Starter:
    """What was seen, what was made of it, and the files that say so."""

    logs: Sample
    event: Guess
    catalogue: Sample | None
    item: dict[str, str]
    mapping: Path
    settings: Path

    @property
    def missing(self) -> list[str]:
        """Fields that have to be filled in by hand."""
        return [name for name in NEEDED if name not in self.event.event]


def start(settings: Settings, logs: Path, items: Path | None, time_zone: str) -> Starter:
    """Looks at the logs, and at the catalogue where there is one, and writes both files.

    Raises:
        InputError: the logs or the catalogue cannot be read.
        SettingsError: one of the files is there already.
    """
    files = [settings.home / "mapping.toml", settings.home / "nightshift.toml"]
    if there := [file for file in files if file.exists()]:
        raise SettingsError(
            f"{' and '.join(map(str, there))} exist already: nothing was written. Edit them, move them away, or set "
            "NIGHTSHIFT_HOME to another folder."
        )
    sample = look(logs)
    event = guess_event(sample.columns, has_names=sample.has_header)
    catalogue = look(items) if items else None
    item = guess_item(catalogue.columns) if catalogue else guess_item(sample.columns, event.event.get(C.ITEM_ID))
    write_atomically(files[0], mapping_text(sample, event, catalogue, item))
    weights = weights_of(sample, event)
    write_atomically(files[1], settings_text(event, time_zone, weights))
    return Starter(sample, event, catalogue, item, *files)


def weights_of(sample: Sample, event: Guess) -> dict[str, float]:
    """The behaviours of a log, each with its weight; those that nobody knows weigh as little as a view."""
    known = Ingest().behaviours
    expression = event.event.get(C.EVENT_TYPE)
    if expression is None or expression.startswith("CASE"):
        return {"purchase": known["purchase"]}
    if expression == RATED:
        return {"rating": known["rating"]}
    words = {text.strip().lower() for text in sample.columns[expression.replace("`", "")]}
    renamed = {word: name for name, listed in event.behaviours.items() for word in listed}
    found = sorted({renamed.get(word, word) for word in words} - set(Ingest().returns))
    return {name: known.get(name, known["view"]) for name in found}
