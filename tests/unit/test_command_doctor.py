"""`nightshift doctor`: each check is seen to fail, and says how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from contracts import lake
from contracts.errors import ModelError
from contracts.settings import Settings, load_settings
from contracts.tables import EVENTS, INGEST_COUNTS, PUBLICATIONS, RECOMMENDATIONS, waiting_table
from models import artifact
from models.store import registry
from nightshift.health import data, installation, machine
from nightshift.health.check import OK, PROBLEM, WARNING, Check
from nightshift.runtime.setup_spark import DELTA
from tests.commands import answer, command
from tests.factories import NIGHT, event, fallback_row, noon, publication, ranked, recommended
from tests.lakes import ArrowLake


def states(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_a_bare_home_has_problems_and_ends_with_1(settings: Settings) -> None:
    made = command(settings, "doctor", "--json")
    assert made.exit_code == 1
    assert '"fit": false' in made.stdout
    shown = command(settings, "doctor")
    assert shown.exit_code == 1
    assert "problem Delta jars" in shown.stdout
    assert "Run `make setup`." in shown.stdout
    assert not settings.home.exists()  # nothing was made


def test_without_a_problem_it_ends_with_0(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("spark_files", "airflow", "packages"):
        made = [Check(name, OK, "")]
        monkeypatch.setattr(
            installation, name, lambda *_, made=made: made if made[0].name == "spark_files" else made[0]
        )
    monkeypatch.setattr(machine, "java", lambda: Check("Java", OK, "17"))
    monkeypatch.setattr(machine, "disk", lambda _: Check("Disk", WARNING, "little"))
    made = answer(settings, "doctor")
    assert made["fit"]
    assert {"name": "Disk", "state": "warning", "found": "little", "mend": None} in made["checks"]


def test_wrong_settings_are_a_problem_among_the_others(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "nightshift.toml").write_text("[scoring]\nn = 0\n")
    made = command(settings, "doctor")
    assert made.exit_code == 1
    assert "problem Settings" in made.stdout
    assert "scoring.n" in made.stdout


@pytest.mark.parametrize(
    ("told", "major"),
    [
        ('openjdk version "17.0.13" 2024-10-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_402"', 8),
        ("no Java here", None),
    ],
)
def test_the_version_of_java(told: str, major: int | None) -> None:
    assert machine.java_version(told) == major


def test_a_java_that_is_missing_or_old(tmp_path: Path) -> None:
    assert machine.java({"PATH": str(tmp_path)}).state == PROBLEM
    java = tmp_path / "bin" / "java"
    assert machine.java({"JAVA_HOME": str(tmp_path)}).state == PROBLEM
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    old = machine.java({"JAVA_HOME": str(tmp_path)})
    assert (old.state, old.found.startswith("11, ")) == (PROBLEM, True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\"' >&2\n")
    assert machine.java({"JAVA_HOME": str(tmp_path)}).state == OK


def test_packages_next_to_their_pins(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# ours\nnumpy==1.0.0  # why\ntyper==0.0.1\n")
    (tmp_path / "constraints.txt").write_text(
        f"numpy=={version('numpy')}\ntyper==0.0.1\nrich==0.0.1\nno-such==1\nno-such==2 ; sys_platform == 'win32'\n"
    )
    wrong = installation.packages(tmp_path)
    assert (wrong.state, wrong.found) == (PROBLEM, f"typer {version('typer')}, pinned 0.0.1")
    (tmp_path / "requirements.txt").write_text("numpy==1.0.0\n")
    assert installation.packages(tmp_path).state == WARNING
    (tmp_path / "requirements.txt").write_text("no_such==1\n")
    assert installation.packages(tmp_path).found == "no-such is missing"
    assert installation.packages(tmp_path / "nowhere").state == WARNING


def test_sparks_files(settings: Settings) -> None:
    folder = settings.home / "spark"
    (folder / "jars").mkdir(parents=True)
    assert states(list(installation.spark_files(settings))) == {
        "Delta jars": PROBLEM,
        "Spark options": PROBLEM,
        "Class archive": WARNING,
    }
    release = DELTA.rpartition(":")[2]
    jars = [folder / "jars" / f"io.delta_{name}-{release}.jar" for name in ("delta-spark_4.1_2.13", "delta-storage")]
    for jar in jars:
        jar.touch()
    (folder / "spark-defaults.conf").write_text("spark.jars /another/home/delta.jar\n")
    (folder / "classes.jsa").touch()
    assert states(list(installation.spark_files(settings)))["Spark options"] == PROBLEM
    (folder / "spark-defaults.conf").write_text(f"spark.jars {','.join(map(str, jars))}\n")
    assert set(states(list(installation.spark_files(settings))).values()) == {OK}


def test_airflows_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    home = settings.home / "airflow"
    home.mkdir(parents=True)
    assert installation.airflow(settings).state == PROBLEM
    (home / "airflow.db").touch()
    (home / "prepared").write_text("apache-airflow 2.0.0\n{}\n")
    assert installation.airflow(settings).found.endswith("its database was prepared by 2.0.0")
    (home / "prepared").write_text(f"apache-airflow {version('apache-airflow')}\n{{}}\n")
    assert installation.airflow(settings).state == OK


def test_a_home_that_is_missing_or_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    assert machine.writable_home(settings).state == WARNING
    (tmp_path / "file").touch()
    below_a_file = load_settings({"NIGHTSHIFT_HOME": str(tmp_path / "file")})
    assert machine.writable_home(below_a_file).state == PROBLEM
    settings.home.mkdir()
    assert machine.writable_home(settings).state == OK
    assert not list(settings.home.iterdir())


def test_the_lake(arrow_lake: ArrowLake) -> None:
    settings = arrow_lake.settings
    assert states(list(data.tables(settings))) == {"Lake": WARNING}
    arrow_lake.write(EVENTS, [event("ann", "1", noon(NIGHT))])
    lists = [recommended("ann", ranked(("1", 1.0, "repeat", "1"))), fallback_row("1")]
    arrow_lake.write(RECOMMENDATIONS, lists)
    arrow_lake.write(PUBLICATIONS, [publication(NIGHT, users=1)])
    assert states(list(data.tables(settings))) == {"Lake": OK, "Newest night": OK, "Half-written tables": OK}
    (settings.lake / "items" / "_delta_log").mkdir(parents=True)
    (settings.lake / "staging" / "recommendations_2017-12-24").mkdir(parents=True)
    # what a night that its data stopped has left aside is whole
    arrow_lake.write(waiting_table(INGEST_COUNTS, NIGHT), [])
    (settings.lake / "staging" / f"intake_{NIGHT}" / "records").mkdir()
    arrow_lake.write(PUBLICATIONS, [publication(NIGHT, users=2)])
    wrong = {check.name: check for check in data.tables(settings)}
    assert wrong["Newest night"].state == PROBLEM
    assert wrong["Half-written tables"].found == "items, recommendations_2017-12-24, records"


def test_a_table_of_another_contract_or_a_damaged_one(arrow_lake: ArrowLake) -> None:
    arrow_lake.write(PUBLICATIONS, [publication(NIGHT)])
    (log,) = lake.path(arrow_lake.settings, PUBLICATIONS).glob("_delta_log/*.json")
    log.write_text(log.read_text().replace("content_hash", "contents"))
    (check, _) = data.tables(arrow_lake.settings)
    assert (check.state, "missing column content_hash" in check.found) == (PROBLEM, True)
    log.write_text("not JSON")
    (check, _) = data.tables(arrow_lake.settings)
    assert (check.state, "cannot be read" in check.found) == (PROBLEM, True)


def test_a_damaged_file(arrow_lake: ArrowLake) -> None:
    arrow_lake.write(PUBLICATIONS, [publication(NIGHT)])
    (file,) = lake.path(arrow_lake.settings, PUBLICATIONS).glob("*.parquet")
    file.write_bytes(b"not Parquet")
    assert states(list(data.tables(arrow_lake.settings)))["Newest night"] == PROBLEM
    file.unlink()
    assert states(list(data.tables(arrow_lake.settings)))["Newest night"] == PROBLEM


def test_the_champion(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.champion(settings).state == WARNING
    file = registry.database_file(settings)
    assert file
    assert not file.exists()
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(registry, "champion", lambda _: None)
    assert data.champion(settings).state == WARNING
    monkeypatch.setattr(registry, "champion", lambda _: "m1")
    assert data.champion(settings).state == PROBLEM
    folder = settings.models / "m1"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("1")
    artifact.write_manifest(folder, {"model_id": "m1"})
    assert data.champion(settings).state == OK
    (folder / "weights").write_text("2")
    with pytest.raises(ModelError):
        artifact.verify(folder)
    assert "weights has changed" in data.champion(settings).found
