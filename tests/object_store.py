"""A real S3 server on the loopback, S3Proxy over a folder, with credentials that are drawn for each start."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.files import write_atomically
from contracts.settings import Settings, load_settings
from nightshift.runtime.services import stop
from nightshift.runtime.setup_spark import Jars, resolve_jars

BUCKET = "shop"
WAIT_SECONDS = 120
STARTED = re.compile(r"Started \S*ServerConnector[^{]*\{[^}]*\}\{127\.0\.0\.1:(\d+)\}")

S3PROXY = Jars(
    "an S3 server",
    "jars-s3proxy",
    ("org.gaul:s3proxy:4.1.0",),
    # the stores that it can stand before; here it is a folder
    (
        "com.azure:*", "com.microsoft.azure:*", "com.google.cloud:*", "com.google.api:*", "com.google.api.grpc:*",
        "com.google.apis:*", "com.google.http-client:*", "com.google.oauth-client:*", "com.google.auth:*",
        "com.google.protobuf:*", "io.grpc:*", "io.opencensus:*", "io.projectreactor:*", "org.apache.sshd:*",
        "com.github.openstack4j.core:*", "com.github.openstack4j.core.connectors:*", "com.squareup.okhttp3:*",
        "net.java.dev.jna:*",
    ),
)  # fmt: skip

QUIET = """\
<configuration>
  <appender name="err" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%msg%n</pattern></encoder>
  </appender>
  <root level="info"><appender-ref ref="err"/></root>
</configuration>
"""


@dataclass(frozen=True)
class ObjectStore:
    """A server that runs."""

    endpoint: str  # http://127.0.0.1:…
    environ: dict[str, str]  # the credentials, as every client takes them

    def settings(self, home: Path, more: str = "") -> Settings:
        """The demo profile in a home whose lake and landing folder lie in the store."""
        write_atomically(
            home / "nightshift.toml",
            f'[storage]\nlake = "s3a://{BUCKET}/{home.name}/lake"\nlanding = "s3a://{BUCKET}/{home.name}/landing"\n'
            f'endpoint = "{self.endpoint}"\n{more}',
        )
        return load_settings({"NIGHTSHIFT_HOME": str(home), "NIGHTSHIFT_PROFILE": "demo"})


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A server with one bucket, below ``folder``; it ends with the block."""
    identity, credential = secrets.token_hex(10), secrets.token_urlsafe(30)
    (folder / "data" / BUCKET).mkdir(parents=True)
    write_atomically(
        folder / "s3proxy.conf",
        f"s3proxy.endpoint=http://127.0.0.1:0\ns3proxy.authorization=aws-v4\ns3proxy.identity={identity}\n"
        f"s3proxy.credential={credential}\njclouds.provider=filesystem-nio2\n"
        f"jclouds.filesystem.basedir={folder / 'data'}\n",
        mode=0o600,
    )
    write_atomically(folder / "logback.xml", QUIET)
    jars = resolve_jars(load_settings(), S3PROXY)
    options = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["java", *options, f"-Dlogback.configurationFile={folder / 'logback.xml'}", "-cp",
             ":".join(str(jar) for jar in jars), "org.gaul.s3proxy.Main", "--properties", folder / "s3proxy.conf"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        environ = {
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": credential,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield ObjectStore(f"http://127.0.0.1:{_port(process, log)}", environ)
    finally:
        stop([process.pid])


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + WAIT_SECONDS
    while not (found := STARTED.search(log.read_text(errors="replace"))):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"The S3 server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    return found[1]
