"""The machine: Python, Java, time zones, the home's disk, the processor that trains."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from contracts.settings import Settings
from nightshift.health.check import Check, ok, problem, warning

JAVAS = (17, 21)
"""Versions of Java on which Spark 4.1 runs."""
PYTHON = (3, 11)
FULL, TIGHT = 2 << 30, 10 << 30
"""Free bytes of the home's disk below which a night fails, and below which it is worth a look."""


def python() -> Check:
    """This Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == PYTHON:
        return ok("Python", f"{version}, {sys.executable}")
    return problem("Python", f"{version}, expected 3.11", "Install Python 3.11 and run `make setup`.")


def java(environ: Mapping[str, str] = os.environ) -> Check:
    """The Java that Spark would start: of JAVA_HOME, else on the PATH."""
    name, mend = "Java", "Install Java 17 (Debian: openjdk-17-jre-headless), or set JAVA_HOME to it."
    home = environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environ.get("PATH"))
    if program is None:
        return problem(name, "none on the PATH, and JAVA_HOME is not set", mend)
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return problem(name, f"{program} does not start: {error}", mend)
    major = java_version(told.stderr + told.stdout)
    if major is None:
        return problem(name, f"{program} does not tell its version", mend)
    found = f"{major}, {Path(program).resolve()}"
    return ok(name, found) if major in JAVAS else problem(name, f"{found}; Spark runs on 17 or 21", mend)


def java_version(told: str) -> int | None:
    """The major version in what `java -version` prints."""
    found = re.search(r'version "(\d+)(?:\.(\d+))?', told)
    if not found:
        return None
    return int(found[2]) if found[1] == "1" and found[2] else int(found[1])  # 1.8 is 8


def time_zones(settings: Settings) -> Check:
    """Time zone data, and the shop's zone in it."""
    name, mend = "Time zones", "Install the time zone data (Debian: tzdata, or the Python package tzdata)."
    try:
        ZoneInfo(settings.shop.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        return problem(name, f"the shop's zone {settings.shop.time_zone} is not known: {error}", mend)
    return ok(name, f"{len(available_timezones())} known; the shop's is {settings.shop.time_zone}")


def writable_home(settings: Settings) -> Check:
    """Whether files can be written into the home, or the home can be made."""
    name, mend = "Home", "Set NIGHTSHIFT_HOME to a folder of yours."
    if not settings.home.exists():
        parent = _existing(settings.home)
        if not os.access(parent, os.W_OK):
            return problem(name, f"{settings.home} does not exist, and {parent} cannot be written to", mend)
        return warning(name, f"{settings.home} does not exist yet", "Run `make setup`.")
    try:
        with tempfile.TemporaryFile(dir=settings.home) as file:
            file.write(b"nightshift")
    except OSError as error:
        return problem(name, f"{settings.home} cannot be written to: {error.strerror or error}", mend)
    return ok(name, f"{settings.home} can be written to")


def _existing(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def disk(settings: Settings) -> Check:
    """Free space where the home is."""
    free = shutil.disk_usage(_existing(settings.home)).free
    found = f"{free / (1 << 30):.1f} GiB free"
    if free < FULL:
        return problem("Disk", found, "Free some space, or move NIGHTSHIFT_HOME to a larger disk.")
    return (
        warning("Disk", found, "A model and a year of events take several GiB.") if free < TIGHT else ok("Disk", found)
    )


def device(settings: Settings) -> Check:
    """What fine-tuning would run on."""
    import torch

    if torch.cuda.is_available():
        return ok("Device", f"GPU {torch.cuda.get_device_name()}, torch {torch.__version__}")
    found = f"CPU ({os.cpu_count()} cores), torch {torch.__version__}"
    if settings.profile == "full":
        return warning("Device", found, "The full profile takes hours to fine-tune without a GPU; nights need none.")
    return ok("Device", found)
