"""What set-up puts in place: the packages, Spark's files, Airflow's database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from contracts.settings import PROJECT, Settings
from nightshift.health.check import Check, ok, problem, warning

SETUP = "Run `make setup`."
NAMED = 5
"""Packages that a line names."""


def packages(folder: Path = PROJECT) -> Check:
    """Whether the packages that the project imports, and all below them, have their pinned versions."""
    name = "Packages"
    constraints, requirements = folder / "constraints.txt", folder / "requirements.txt"
    if not constraints.is_file() or not requirements.is_file():
        return warning(name, f"{folder} has no constraints.txt: this is no checkout, so nothing is compared")
    direct = set(pins(requirements.read_text().splitlines()))
    wrong = dict(differences(pins(constraints.read_text().splitlines()), direct))
    missing = sorted(each for each in wrong if each in direct)
    if missing:
        return problem(name, _listed(wrong[each] for each in missing), "Run `make setup`, which installs the pins.")
    if wrong:
        return warning(
            name, _listed(wrong[each] for each in sorted(wrong)), "Run `make setup`, which installs the pins."
        )
    return ok(name, f"{len(direct)} required ones and all below them are at their pinned versions")


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Package and version of the lines ``package==version`` that apply to this machine."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for line in lines:
        try:
            told = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:  # a comment, or an option such as -r
            continue
        exact = [each.version for each in told.specifier if each.operator == "=="]
        if exact and (told.marker is None or told.marker.evaluate()):
            found[canonicalize_name(told.name)] = exact[0]
    return found


def differences(pinned: dict[str, str], direct: set[str]) -> Iterator[tuple[str, str]]:
    """Packages that have another version than their pin, or that are ``direct`` and missing, each in words."""
    from packaging.specifiers import SpecifierSet

    for name, pin in pinned.items():
        try:
            there = version(name)
        except PackageNotFoundError:
            if name in direct:
                yield name, f"{name} is missing"
            continue  # what only the containers or the tests need
        # as pip compares: 2.13.0+cpu is 2.13.0
        if not SpecifierSet(f"=={pin}").contains(there, prereleases=True):
            yield name, f"{name} {there}, pinned {pin}"


def _listed(told: Iterable[str]) -> str:
    told = list(told)
    return "; ".join(told[:NAMED]) + (f"; and {len(told) - NAMED} more" if len(told) > NAMED else "")


def spark_files(settings: Settings) -> Iterator[Check]:
    """Delta's jars, Spark's options, and the class archive."""
    from nightshift.runtime.setup_spark import DELTA, NEEDED
    from spark_jobs.cluster.environment import spark_defaults

    folder = settings.home / "spark" / "jars"
    jars = sorted(folder.glob("*.jar"))
    missing = [needed for needed in NEEDED if not any(needed in jar.name for jar in jars)]
    if missing:
        yield problem("Delta jars", f"{folder} has no {' and no '.join(missing)}", SETUP)
    elif not any(DELTA.rpartition(":")[2] in jar.name for jar in jars):
        yield problem(
            "Delta jars", f"{', '.join(jar.name for jar in jars)} are not of {DELTA}", f"Delete {folder}. {SETUP}"
        )
    else:
        yield ok("Delta jars", ", ".join(jar.name for jar in jars))
    options = spark_defaults(settings)
    if not options.is_file():
        yield problem("Spark options", f"{options} is missing", SETUP)
    elif gone := [jar for jar in named_jars(options.read_text()) if not jar.is_file()]:
        yield problem("Spark options", f"{options} names {gone[0]}, which does not exist", SETUP)
    else:
        yield ok("Spark options", str(options))
    archive = options.parent / "classes.jsa"
    if archive.is_file():
        yield ok("Class archive", f"{archive}, {archive.stat().st_size / 1e6:.0f} MB")
    else:
        yield warning("Class archive", f"{archive} is missing: every start of Spark takes longer", SETUP)


def named_jars(options: str) -> list[Path]:
    """The jars that spark-defaults.conf names."""
    lines = (line.partition(" ") for line in options.splitlines())
    return [Path(jar) for name, _, value in lines if name == "spark.jars" for jar in value.split(",")]


def spark_starts(settings: Settings) -> Check:
    """Whether Spark starts and counts; it takes some seconds."""
    name = "Spark"
    from spark_jobs.cluster.session import session

    try:
        with session("doctor", settings, java_options=settings.spark.night_java_options) as spark:
            counted, told = spark.range(100).count(), spark.version
    except Exception as error:  # Java's errors come as Python's of many kinds
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        return problem(name, f"does not start: {first}", "Look at Java, Delta jars and Spark options above.")
    return ok(name, f"{told} starts and counts to {counted}")


def airflow(settings: Settings) -> Check:
    """Airflow's database, as set-up left it."""
    from nightshift.runtime.environment import airflow_home

    name, home = "Airflow", airflow_home(settings)
    try:
        there = version("apache-airflow")
    except PackageNotFoundError:
        return problem(name, "is not installed", SETUP)
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ:
        return ok(name, f"{there}; the environment names its database")
    stamp, database = home / "prepared", home / "airflow.db"
    if not stamp.is_file() or not database.is_file():
        return problem(name, f"{there}, but its database in {home} is not prepared", SETUP)
    prepared = stamp.read_text().partition("\n")[0].rpartition(" ")[2]
    if prepared != there:
        return problem(name, f"{there}, but its database was prepared by {prepared}", SETUP)
    return ok(name, f"{there}, database {database}")
