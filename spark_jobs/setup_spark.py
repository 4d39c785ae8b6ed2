"""Prepares Spark once: Delta's jars from Maven, one spark-defaults.conf for every start of Spark, a class archive.

    python -m spark_jobs.setup_spark

After it a run needs no network. Run it again after changing the Spark settings: what is there is kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark

from spark_jobs.cli import entry, log
from spark_jobs.contracts.errors import SettingsError
from spark_jobs.contracts.settings import Settings

DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"
NEEDED = ("delta-spark", "delta-storage")
"""Of the 33 jars that Maven resolves these are not in Spark; the rest would shadow Spark's own versions."""

WARM_UP = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.range(100).selectExpr("id", "cast(id as string) s").write.format("delta").save("{folder}/t")
frame = spark.read.format("delta").load("{folder}/t")
frame.groupBy("s").count().mapInPandas(lambda batches: batches, "s string, count long").collect()
frame.write.format("delta").mode("overwrite").option("replaceWhere", "id >= 0").save("{folder}/t")
spark.stop()
"""
"""Touches the classes that a night uses, so that they are in the archive."""


def spark_environment(settings: Settings) -> dict[str, str]:
    """Environment in which spark-submit finds this Python, this configuration and this machine."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_CONF_DIR": str(settings.home / "spark"),
        "SPARK_LOCAL_IP": os.environ.get("SPARK_LOCAL_IP", "127.0.0.1"),
    }


def submit(arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Runs spark-submit.

    Raises:
        SettingsError: it failed; the message carries the end of what it printed.
    """
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(
            f"spark-submit failed with exit code {done.returncode}. It needs Java 17 on the PATH or in "
            f"JAVA_HOME, and Maven Central the first time. The end of its output:\n{done.stderr[-2000:]}"
        )


def resolve_jars(settings: Settings) -> list[Path]:
    """Delta's jars, fetched from Maven the first time.

    Raises:
        SettingsError: Java does not start, or Maven Central could not be reached.
    """
    folder = settings.home / "spark" / "jars"
    if len(jars := sorted(folder.glob("*.jar"))) == len(NEEDED):
        return jars
    log.info("Fetching Delta's jars (%s) from Maven Central …", DELTA)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="nightshift-ivy-") as cache:
        script = Path(cache) / "nothing.py"
        script.write_text("")
        submit(
            ["--packages", DELTA, "--conf", f"spark.jars.ivy={cache}", str(script)],
            spark_environment(settings) | {"SPARK_CONF_DIR": cache},
        )
        for name in NEEDED:
            (jar,) = Path(cache, "jars").glob(f"io.delta_{name}_*.jar" if name == "delta-spark"
                                              else f"io.delta_{name}-*.jar")
            shutil.copy(jar, folder / jar.name)
    return sorted(folder.glob("*.jar"))


def defaults(settings: Settings, jars: Sequence[Path], java_options: str) -> str:
    """Text of spark-defaults.conf."""
    spark = settings.spark
    options = {
        "spark.master": spark.master,
        "spark.driver.memory": spark.driver_memory,
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.databricks.delta.snapshotPartitions": str(spark.snapshot_partitions),
        "spark.sql.warehouse.dir": str(settings.home / "spark" / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.python.worker.reuse": "true",
        "spark.driver.extraJavaOptions": java_options,
    }
    return "".join(f"{name} {value}\n" for name, value in options.items() if value)


def prepare(settings: Settings) -> None:
    """Fetches the jars, writes spark-defaults.conf and makes the class archive, where they are missing."""
    folder = settings.home / "spark"
    jars = resolve_jars(settings)
    archive = folder / "classes.jsa"
    conf = folder / "spark-defaults.conf"
    # with C1 alone a small night starts faster than C2 pays back; large machines have the time to compile
    tiers = "-XX:TieredStopAtLevel=1 " if settings.profile == "demo" else ""
    if not archive.exists():
        log.info("Making the class archive that shortens every start of Spark …")
        conf.write_text(defaults(settings, jars, f"-XX:ArchiveClassesAtExit={archive}"))
        with TemporaryDirectory(prefix="nightshift-warm-up-") as scratch:
            script = Path(scratch) / "warm_up.py"
            script.write_text(WARM_UP.format(folder=scratch))
            submit([str(script)], spark_environment(settings))
    # -Xshare:auto: an archive of another Java is ignored, not an error
    conf.write_text(defaults(settings, jars, f"{tiers}-XX:SharedArchiveFile={archive} -Xshare:auto -Xlog:cds=off "
                                             "-Xlog:cds+dynamic=off"))


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    argparse.ArgumentParser(description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    prepare(settings)
    log.info("Spark is set up in %s.", settings.home / "spark")


if __name__ == "__main__":
    entry(main)
