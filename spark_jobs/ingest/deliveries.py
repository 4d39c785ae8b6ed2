"""Whether a day's logs are all there, by the rule of `[delivery]` in the settings. Needs no Spark.

Waiting reads names, sizes and times, never a record: it is asked over and over. What a manifest promises is compared
with the records that the files hold when they have landed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, RootModel, ValidationError

from contracts.errors import InputError, SettingsError
from contracts.interval import Interval, day_ends
from contracts.mapping import Source, load_mapping
from contracts.places import came, written
from contracts.settings import Settings
from contracts.waiting import clock
from spark_jobs.ingest.landing import Landing, by_day_of, land, listed

NAMED = 3
"""So many files or days are named of those that are missing."""


@dataclass(frozen=True)
class Delivery:
    """What has come of one day."""

    complete: bool
    why: str  # what is there, or what is missing, in words


class Promise(BaseModel):
    """What a manifest says of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: NonNegativeInt
    bytes: NonNegativeInt | None = None


class Manifest(RootModel[dict[str, Promise | NonNegativeInt]]):
    """The file that counts: by file, relative to its own folder, the records, or records and bytes."""


def delivery(settings: Settings, day: date, now: datetime | None, *, allow_empty: bool = False) -> Delivery:
    """What has come of a day, and whether that is all by the rule in the settings.

    It is not before the day is over. Then nothing is expected of a day on which the shop is closed, nor with
    ``allow_empty``.

    Args:
        settings: Says which rule holds, and by `mapping.toml` where logs lie.
        day: The day whose logs are asked for; of an export all files are looked at.
        now: The present moment; None leaves out what only time tells.
        allow_empty: The run lets days without logs pass.

    Raises:
        SettingsError: the mapping is wrong, or the rule does not fit how paths tell the day.
    """
    if why := _still_to_come(settings, day, now):
        return Delivery(complete=False, why=why)
    if allow_empty or settings.shop.is_closed(day):
        return Delivery(complete=True, why="no log has to come")
    logs = load_mapping(settings).logs
    return _judged(settings, logs, _files(logs).get(day if logs.days else None, []), day, now)


def land_delivered(
    settings: Settings, interval: Interval, *, allow_empty: bool = False, now: datetime | None = None
) -> Landing:
    """`land`, of deliveries that are complete by the rule in the settings, and of days that are over.

    Of a history those days are judged of which files are there: it may have gaps.

    Raises:
        InputError: as of `land`; or a delivery is not complete, or not what its manifest promises.
        SettingsError: as of `delivery`.
    """
    if why := _still_to_come(settings, interval.ds, now):
        raise InputError(_incomplete(settings, {interval.ds: why}))
    if not allow_empty:
        logs = load_mapping(settings).logs
        files = _files(logs)
        judged = {
            day: _judged(settings, logs, of_day, day, now)
            for day in (interval.days if logs.days else [interval.ds])
            if not settings.shop.is_closed(day) and (of_day := files.get(day if logs.days else None))
        }
        if lacking := {day: each.why for day, each in judged.items() if not each.complete}:
            raise InputError(_incomplete(settings, lacking))
    landing = land(settings, interval, allow_empty=allow_empty)
    if settings.delivery.complete_when == "manifest" and not allow_empty:
        _require_promised(settings, landing, interval)
    return landing


def _still_to_come(settings: Settings, day: date, now: datetime | None) -> str | None:
    """Why nothing that has come of a day can be all, in words; None if the day is over."""
    end = day_ends(day, settings.shop.zone)
    return f"the day ends at {clock(settings, end)}" if now is not None and now < end else None


def _incomplete(settings: Settings, lacking: Mapping[date, str]) -> str:
    """What to do about days that are not all there."""
    (day, why), *others = lacking.items()
    more = f" (and {len(others)} more days, up to {others[-1][0]})" if others else ""
    return (
        f"The delivery of {day}{more} is not complete: {why}. Deliver what is missing, or wait for it and clear the "
        f'task; the rule is [delivery] complete_when = "{settings.delivery.complete_when}" in nightshift.toml.'
    )


def _files(logs: Source) -> Mapping[date | None, list[Path]]:
    """Log files by day; all under None where paths tell none."""
    paths = listed(logs)
    return dict(by_day_of(logs, paths).items()) if logs.days else {None: paths}


def _judged(settings: Settings, logs: Source, files: Sequence[Path], day: date, now: datetime | None) -> Delivery:
    """What has come of a day that has these files."""
    end = day_ends(day, settings.shop.zone)
    rule = settings.delivery.complete_when
    if rule in ("success_file", "manifest"):
        name = settings.delivery.success_file if rule == "success_file" else settings.delivery.manifest
        tells, where = _marker(logs, files, day, name)
        if not logs.days and not _tells_day(name, day):
            # the one of an earlier delivery lies there until it is written again
            tells = [file for file in tells if written(file) >= end]
            where += f" that was written since {clock(settings, end)}"
        if not tells:
            return Delivery(complete=False, why=f"there is no {where}; {_so_far(files, logs, day)}")
        if rule == "manifest":
            return _kept(tells, files)
        return Delivery(complete=True, why=f"{tells[0]} says so; {_so_far(files, logs, day)}")
    if not files:
        return Delivery(complete=False, why=_so_far(files, logs, day))
    if rule == "quiet" and now is not None:
        if not logs.days and max(map(written, files)) < end:
            return Delivery(complete=False, why=f"no file of {logs.path} was written since {clock(settings, end)}")
        newest = max(map(came, files))
        quiet = max(newest, end) + timedelta(minutes=settings.delivery.quiet_minutes)
        if now < quiet:
            why = f"the newest of {len(files)} files came at {clock(settings, newest)}; no more until "
            return Delivery(complete=False, why=why + f"{clock(settings, quiet)} would make it complete")
    return Delivery(complete=True, why=_so_far(files, logs, day))


def _marker(logs: Source, files: Sequence[Path], day: date, name: str) -> tuple[list[Path], str]:
    """The files that tell of a day's delivery, and what they are called and where, in words.

    Raises:
        SettingsError: no such file could tell which day it means.
    """
    of_day = day.strftime(name)
    root = logs.root
    found = sorted(root.glob(of_day) if logs.path.is_file() else root.rglob(of_day))
    if not logs.days or _tells_day(name, day):
        return found, f"file {of_day} in {root}"
    in_folders = any(logs.day_of(f"{file.parent.relative_to(root).as_posix()}/") == day for file in files)
    if any(f"%{letter}" in logs.days for letter in "HMS") or (files and not in_folders):
        raise SettingsError(
            f"[delivery] {name} tells no day: paths tell it by days = {logs.days!r}, and no folder is one day's. Give "
            f'the file a name with the day in it, such as "{name}_%Y%m%d".'
        )
    here = [file for file in found if logs.day_of(file.relative_to(root).as_posix()) == day]
    return here, f"file {of_day} in the folder of {day} below {root}"


def _tells_day(name: str, day: date) -> bool:
    """Whether a file's name tells the day by itself."""
    return day.strftime(name) != name


def _kept(manifests: Sequence[Path], files: Sequence[Path]) -> Delivery:
    """What has come of what the manifests promise; records are counted later."""
    problems: list[str] = []
    promised: dict[Path, Promise] = {}
    for manifest in manifests:
        try:
            promised |= promises(manifest)
        except InputError as error:
            return Delivery(complete=False, why=str(error))
    for path, promise in promised.items():
        if path not in files:
            there = "is none of the logs that mapping.toml names" if path.exists() else "has not come"
            problems.append(f"{path} {there}")
        elif promise.bytes is not None and (size := path.stat().st_size) != promise.bytes:
            problems.append(f"{path} has {size:,} of {promise.bytes:,} bytes")
    problems += [f"{path} is not named" for path in files if path not in promised]
    by = ", ".join(str(manifest) for manifest in manifests)
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        return Delivery(complete=False, why=f"by {by}, {'; '.join(problems[:NAMED])}{more}")
    return Delivery(complete=True, why=f"all {len(promised)} files of {by} are there")


def promises(manifest: Path) -> dict[Path, Promise]:
    """What a manifest says, by file.

    Raises:
        InputError: it is not complete, or no manifest.
    """
    try:
        told = Manifest.model_validate(json.loads(manifest.read_text(encoding="utf-8"))).root
    except (OSError, ValueError) as error:
        what = "; ".join(each["msg"] for each in error.errors()) if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f'{manifest} cannot be read: expected JSON such as {{"part-0.jsonl.gz": 1234}}, found {what}'
        ) from error
    return {
        manifest.parent / name: promise if isinstance(promise, Promise) else Promise(records=promise)
        for name, promise in told.items()
    }


def _require_promised(settings: Settings, landing: Landing, interval: Interval) -> None:
    """Raises an InputError if a file holds other records than its manifest counts."""
    logs = landing.mapping.logs
    days = landing.events if logs.days else {interval.ds: landing.export}
    wrong = []
    for day, files in days.items():
        promised: dict[Path, Promise] = {}
        if files and not settings.shop.is_closed(day):
            for manifest in _marker(logs, [file.path for file in files], day, settings.delivery.manifest)[0]:
                promised |= promises(manifest)
        for file in files:
            promise = promised.get(file.path)
            if promise and promise.records != file.records:
                wrong.append(f"{file.path}: expected {promise.records:,} records, found {file.records:,}")
    if wrong:
        more = f" (and {len(wrong) - NAMED} more files)" if len(wrong) > NAMED else ""
        raise InputError(
            f"A delivery is not what its {settings.delivery.manifest} promises. {'; '.join(wrong[:NAMED])}{more}. "
            "Deliver the files again, or correct the manifest."
        )


def _so_far(files: Sequence[Path], logs: Source, day: date) -> str:
    """What is there, in words."""
    of = f" of {day}" if logs.days else ""
    return f"{len(files)} log file{'s' * (len(files) != 1)}{of} in {logs.path}"
