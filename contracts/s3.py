"""How each library reaches an S3 store, and a write that is refused where something is there.

Credentials are nobody's business here: every library takes them from its environment by itself (AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, a web identity, the machine's role).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from contracts.errors import SettingsError, StorageError
from contracts.places import S3, key

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    from upath import UPath

NOT_CREATED = (409, 412)
"""HTTP's states of a conditional write that was refused: there is such an object, or another one is being written."""


@dataclass(frozen=True)
class Store:
    """Where a store is."""

    endpoint: str | None = None  # URL of the server; None: Amazon's
    region: str | None = None  # None: each library finds it


def fsspec_options(store: Store) -> dict[str, Any]:
    """Options of s3fs."""
    client = {"endpoint_url": store.endpoint, "region_name": store.region}
    # others write while this process lives: what a folder holds is asked each time
    return {"use_listings_cache": False, "client_kwargs": {name: each for name, each in client.items() if each}}


def delta_options(store: Store) -> dict[str, str]:
    """Options of deltalake, whose commits never replace one that is there."""
    made = {"aws_conditional_put": "etag"}
    if store.endpoint:
        made |= {"aws_endpoint": store.endpoint}
        made |= {"aws_allow_http": "true"} if store.endpoint.startswith("http:") else {}
    return made | ({"aws_region": store.region} if store.region else {})


def arrow_files(store: Store) -> pafs.FileSystem:
    """The store as Arrow's own file system."""
    import pyarrow.fs as pafs

    client = {"endpoint_override": store.endpoint, "region": store.region}
    return pafs.S3FileSystem(**{name: each for name, each in client.items() if each})


def spark_options(store: Store) -> dict[str, str]:
    """Options of Spark: where the store is, and Delta's log store for one driver at a time.

    It looks whether a commit is there, and then writes it. That nobody comes between the two, `contracts.locks` sees
    to.
    """
    made = {
        "spark.delta.logStore.s3a.impl": "io.delta.storage.S3SingleDriverLogStore",
        "spark.hadoop.fs.s3a.endpoint": store.endpoint or "",
        # servers of one's own seldom have a host name for each bucket
        "spark.hadoop.fs.s3a.path.style.access": "true" if store.endpoint else "",
        "spark.hadoop.fs.s3a.endpoint.region": store.region or "",
    }
    return {name: value for name, value in made.items() if value}


def create(file: Path, content: bytes) -> bool:
    """Writes an object if there is none of that name; whether it has.

    Raises:
        StorageError: the store cannot be reached, or lets nobody write.
    """
    store = cast("UPath", file).fs
    try:
        store.pipe_file(key(file), content, mode="create")
    except FileExistsError:
        return False
    except _errors() as error:
        if _status(error) in NOT_CREATED:
            return False
        raise StorageError(unreachable(file, error)) from error
    return True


def content(file: Path) -> bytes | None:
    """What an object holds, in one request, for others may write it; None where there is none.

    Raises:
        StorageError: the store cannot be reached.
    """
    try:
        return bytes(cast("UPath", file).fs.cat_file(key(file)))
    except FileNotFoundError:
        return None
    except _errors() as error:
        raise StorageError(unreachable(file, error)) from error


def explained(error: BaseException) -> StorageError | None:
    """The error of a library for S3, or of what it was made into, as one of ours; None for any other."""
    for each in (error, error.__cause__):
        if each and type(each).__module__.partition(".")[0] in ("aiobotocore", "botocore"):
            return StorageError(unreachable("The S3 store", error))
    return None


def unreachable(where: Path | str, error: BaseException) -> str:
    """What to do where a store cannot be read or written."""
    told = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{where} cannot be reached ({told}): check [storage] in nightshift.toml, that the bucket is there, and the "
        "credentials, which come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the machine's role)."
    )


def require_conditional_writes(folder: Path) -> None:
    """Tries whether the store of a folder refuses to replace an object that must not be replaced.

    Raises:
        SettingsError: it does not: there two writers of a table would lose one of their commits.
        StorageError: it cannot be reached.
    """
    _probed(str(folder), folder)


@cache
def _probed(_: str, folder: Path) -> None:
    """Once a process."""
    probe = folder / f"probe-{secrets.token_hex(8)}"
    if not create(probe, b"1"):
        raise StorageError(f"{probe} could not be written, though nothing is there.")
    try:
        replaced = create(probe, b"2")
    finally:
        _forget(probe)
    if replaced:
        raise SettingsError(
            f"The store of {folder} replaces an object that must not be replaced (it does not heed If-None-Match): two "
            f"writers would lose commits. Use one with conditional writes, such as Amazon S3, for {S3}:."
        )


def _forget(file: Path) -> None:
    try:
        cast("UPath", file).fs.rm_file(key(file))
    except _errors() as error:
        raise StorageError(unreachable(file, error)) from error


def _errors() -> tuple[type[Exception], ...]:
    """What s3fs raises: most of it as Python's own errors, and where there is no answer botocore's."""
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, BotoCoreError, ClientError


def _status(error: BaseException | None) -> int | None:
    """HTTP's state in the answer that an error of s3fs came from."""
    told = getattr(error.__cause__, "response", None) if error else None
    return told.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(told, dict) else None
