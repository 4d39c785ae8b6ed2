"""Prepares Spark once: the jars from Maven, one spark-defaults.conf for every start, a class archive.

    python -m nightshift.runtime.setup_spark

After it a run needs no network. Run it again after changing the settings of Spark or of storage: what is there is kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark

from contracts.cli import NoArguments, log, main
from contracts.errors import SettingsError
from contracts.files import complete_or_absent, write_if_changed
from contracts.locks import FOLDER
from contracts.places import is_remote
from contracts.s3 import require_conditional_writes, spark_options
from contracts.settings import Settings, Spark
from nightshift.runtime.commands import in_turn
from nightshift.runtime.environment import environment
from spark_jobs.cluster.environment import spark_defaults

DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"
NEEDED = ("delta-spark", "delta-storage")


@dataclass(frozen=True)
class Jars:
    """Jars that Maven Central has, and a folder below `spark/` that keeps them."""

    what: str
    folder: str
    packages: tuple[str, ...]
    left_out: tuple[str, ...]  # that they bring, by the patterns of spark-submit
    needed: tuple[str, ...] = ("",)  # parts of the names of those that are kept


DELTA_JARS = Jars(
    "Delta's jars",
    "jars",
    (DELTA,),
    # what tables in folders do not need: 77 MB, with versions of Hadoop that would shadow Spark's
    ("io.unitycatalog:*", "io.delta:delta-kernel*"),
    NEEDED,
)
AWS = "2.29.52"
"""Version of Amazon's SDK that this Hadoop was built with."""
S3A_JARS = Jars(
    "Hadoop's jars for S3",
    "jars-s3a",
    (
        "org.apache.hadoop:hadoop-aws:3.4.2",
        *(f"software.amazon.awssdk:{part}:{AWS}" for part in ("s3", "s3-transfer-manager", "sts")),
    ),
    # the whole SDK in one jar of 600 MB, and what Spark has in other versions
    (
        "software.amazon.awssdk:bundle", "org.wildfly.openssl:*", "io.netty:*", "org.slf4j:*", "commons-logging:*",
        "commons-codec:*", "org.apache.httpcomponents:*",
    ),
)  # fmt: skip
"""12 MB: S3 and what it stands on."""

UNSAFE = ("spark.delta.logStore.", "spark.hadoop.fs.s3a.performance.flags", "spark.hadoop.fs.s3a.create.performance")
"""How options start with which Spark would replace a commit that is there, without a look."""

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

QUIET_LOG = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""
"""log4j2: only errors, so that the jobs' own lines are not lost among Spark's."""

ARCHIVE, LOG_OPTIONS = "classes.jsa", "log4j2.properties"
"""Files in the folder of Spark's options: the class archive, and `QUIET_LOG`."""


def submit(settings: Settings, *arguments: str) -> None:
    """Runs spark-submit.

    Raises:
        SettingsError: it failed; the message carries the end of what it printed.
    """
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), *arguments]
    done = subprocess.run(
        command,
        env=environment(settings, os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SettingsError(
            f"spark-submit failed with exit code {done.returncode}. It needs Java 17 on the PATH or in "
            f"JAVA_HOME, and Maven Central the first time. The end of its output:\n{done.stdout[-2000:]}"
        )


def resolve_jars(settings: Settings, jars: Jars = DELTA_JARS) -> list[Path]:
    """Jars, fetched from Maven the first time.

    Raises:
        SettingsError: Java does not start, or Maven Central could not be reached.
    """
    folder = settings.home / "spark" / jars.folder
    if len(there := sorted(folder.glob("*.jar"))) >= len(jars.needed):
        return there
    log.info("Fetching %s (%s) from Maven Central …", jars.what, ", ".join(jars.packages))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="nightshift-ivy-") as cache:
        script = Path(cache) / "nothing.py"
        script.write_text("")
        packages = ("--packages", ",".join(jars.packages), "--exclude-packages", ",".join(jars.left_out))
        submit(settings, *packages, "--conf", f"spark.jars.ivy={cache}", str(script))
        with complete_or_absent(folder) as draft:
            for jar in Path(cache, "jars").glob("*.jar"):
                if any(part in jar.name for part in jars.needed):
                    shutil.copy(jar, draft / jar.name)
    return sorted(folder.glob("*.jar"))


def jars_for(settings: Settings) -> list[Path]:
    """All jars that the settings need. Delta's come first: the class archive begins with them."""
    return [*resolve_jars(settings), *(resolve_jars(settings, S3A_JARS) if settings.storage.on_s3 else ())]


def executors(spark: Spark) -> dict[str, str]:
    """Options of the executors on a cluster; with a local master there are none, and Spark passes over these."""
    made = {
        "spark.executor.cores": str(spark.executor_cores),
        "spark.executor.memory": spark.executor_memory,
        "spark.executor.memoryOverhead": spark.executor_overhead,
        # a standalone master counts cores, and would give an application all that it has
        "spark.cores.max": str(spark.executors * spark.executor_cores),
    }
    if not spark.dynamic_allocation:
        return made | {"spark.executor.instances": str(spark.executors)}
    return made | {
        "spark.dynamicAllocation.enabled": "true",
        # an executor that holds what others have still to fetch stays: else it takes a shuffle service beside the
        # executors, which Kubernetes does not have and other masters have only where somebody set it up
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.maxExecutors": str(spark.executors),
    }


def defaults(settings: Settings, jars: Sequence[Path], java: str) -> str:
    """Text of spark-defaults.conf; ``java`` are options of the driver's Java besides those of the settings.

    Raises:
        SettingsError: the setting spark.options names what others of the settings decide.
    """
    spark = settings.spark
    own = {
        "spark.master": spark.master,
        "spark.driver.memory": spark.driver_memory,
        # sent to the executors; the driver has them on its class path, because archives hold no classes of others
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.extraClassPath": ":".join(str(jar) for jar in jars),
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
        # tasks of iterative algorithms (ALS) are deep object graphs: 1 MB of stack is not enough to read them
        "spark.driver.extraJavaOptions": " ".join(filter(None, ("-Xss4m", spark.java_options, java))),
        "spark.executor.extraJavaOptions": "-Xss4m",
        **executors(spark),
        **(spark_options(settings.storage.store) if settings.storage.on_s3 else {}),
    }
    others = {name for name in spark.options if settings.storage.on_s3 and name.startswith(UNSAFE)}
    if twice := sorted((own.keys() | others) & spark.options.keys()):
        raise SettingsError(
            f"The setting spark.options names {', '.join(twice)}, which Nightshift sets by itself: leave it out. "
            "docs/settings.md has the settings of [spark] that decide it."
        )
    options = own | spark.options
    return "".join(f"{name} {value}\n" for name, value in options.items() if value)


def make_archive(settings: Settings, jars: Sequence[Path], archive: Path) -> None:
    """Writes the class archive that shortens every start of Spark, from a run that touches what a night uses."""
    log.info("Making the class archive that shortens every start of Spark …")
    with TemporaryDirectory(prefix="nightshift-warm-up-") as scratch:
        script = Path(scratch) / "warm_up.py"
        script.write_text(WARM_UP.format(folder=scratch))
        options = Path(scratch) / "spark.conf"
        options.write_text(defaults(settings, jars, f"-XX:ArchiveClassesAtExit={archive}"))
        submit(settings, "--properties-file", str(options), str(script))


def java_options(folder: Path) -> str:
    """Options of the driver's Java: the class archive and the log's configuration, which lie in ``folder``."""
    # -Xshare:auto: an archive of another Java is ignored, not an error
    return (
        f"-XX:SharedArchiveFile={folder / ARCHIVE} -Xshare:auto -Xlog:cds=off "
        f"-Xlog:cds+dynamic=off -Dlog4j2.configurationFile={(folder / LOG_OPTIONS).as_uri()}"
    )


@in_turn("setup-spark")
def run(settings: Settings, _: NoArguments) -> None:
    """Fetches the jars, writes spark-defaults.conf and makes the class archive, where they are missing."""
    conf = spark_defaults(settings)
    folder = conf.parent
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    write_if_changed(folder / LOG_OPTIONS, QUIET_LOG)
    if not (folder / ARCHIVE).exists():
        make_archive(settings, resolve_jars(settings), folder / ARCHIVE)
    write_if_changed(conf, defaults(settings, jars_for(settings), java_options(folder)))
    if is_remote(settings.lake):
        require_conditional_writes(settings.lake / FOLDER)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
