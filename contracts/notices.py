"""What people should be told of a run: jobs leave a notice here, and Airflow sends it when their task ends.

    tell(settings, run_id, Notice("hole", night, "There is no log of 2017-12-21.", "Deliver it, run the night again."))

A notice is a file below `notices/<night>/<run>/` of the home. The same notice of the same run is the same file, however
often its job runs; whoever sends it claims it first, so that it goes out once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from contracts.files import write_atomically
from contracts.settings import Settings

Kind = Literal[
    "held", "gate", "failed", "beside", "model", "late", "missing", "late_files", "hole", "coverage", "drift"
]
"""What a notice can be about.

`gate` is a night that its data stopped, `beside` a failed task that the lists do not need, `model` a fine-tuning that
failed.
"""

STOPS: tuple[Kind, ...] = ("held", "gate", "failed")
"""Kinds after which a night is not published."""

SENT = ".sent"


@dataclass(frozen=True)
class Notice:
    """Something that people should know. Texts are plain, who sends them escapes them; users only as pseudonyms."""

    kind: Kind
    night: date
    what: str  # what happened, with figures, in a sentence or two
    to_do: str


@dataclass(frozen=True)
class Told:
    """A notice as a run left it."""

    notice: Notice
    run_id: str
    told_at: float  # seconds since 1970
    file: Path

    @property
    def is_sent(self) -> bool:
        """Whether somebody claimed it."""
        return self.file.with_suffix(SENT).exists()


def tell(settings: Settings, run_id: str, notice: Notice) -> Told:
    """Leaves a notice of a run. A second time changes nothing but the time at which it was told."""
    content = json.dumps(asdict(notice) | {"run_id": run_id}, sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    file = _root(settings) / str(notice.night) / _folder(run_id) / f"{notice.kind}-{digest}.json"
    if file.exists():
        file.touch()
    else:
        write_atomically(file, content)
    return _read(file)


def of_run(settings: Settings, run_id: str) -> list[Told]:
    """All notices of a run, oldest first."""
    return _told(settings, f"*/{_folder(run_id)}")


def of_night(settings: Settings, night: date) -> list[Told]:
    """All notices of a night, whichever run left them, oldest first."""
    return _told(settings, f"{night}/*")


def nights(settings: Settings) -> list[date]:
    """Nights of which there are notices, oldest first."""
    root = _root(settings)
    return sorted(map(date.fromisoformat, (each.name for each in root.iterdir()))) if root.is_dir() else []


def claim(told: Told) -> bool:
    """Whether the caller is the first to ask, and therefore the one who sends it."""
    try:
        told.file.with_suffix(SENT).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _root(settings: Settings) -> Path:
    return settings.home / "notices"


def _folder(run_id: str) -> str:
    """Name of a run's folder: Airflow lets ids have any characters, and up to 250 of them."""
    name = quote(run_id, safe="")
    return name if len(name) <= 200 else f"{name[:180]}%{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


def _told(settings: Settings, folders: str) -> list[Told]:
    found = map(_read, _root(settings).glob(f"{folders}/*.json"))
    return sorted(found, key=lambda told: (told.told_at, told.file.name))


def _read(file: Path) -> Told:
    said = json.loads(file.read_text())
    notice = Notice(said["kind"], date.fromisoformat(said["night"]), said["what"], said["to_do"])
    return Told(notice, said["run_id"], file.stat().st_mtime, file)
