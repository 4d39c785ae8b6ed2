"""Events out, lists in: how a peer takes part in a benchmark without sharing a package with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from contracts.errors import NightshiftError
from models.evaluation import N
from models.excluded import Excluded
from models.histories import Histories, Ints
from models.ragged import find
from nightshift.bench_model.contest import Entry
from nightshift.bench_model.peers.environment import last_line
from nightshift.bench_model.protocols import Case

SCRIPT = Path(__file__).with_name("rectools_models.py")
NAMES = ("ease", "item-knn", "sasrec")
"""What the script can fit."""


@dataclass(frozen=True)
class Peers:
    """How peers are run: a Python that has their library, who of them is wanted, and how long each may take."""

    python: Path
    names: tuple[str, ...]
    limit_seconds: float
    script: Path = SCRIPT


def title(name: str) -> str:
    """A peer's name in the table."""
    return f"peer: rectools {name}"


def lists_of(case: Case, name: str, peers: Peers) -> Iterator[Entry]:
    """One peer's lists for the judged users, measured like everyone's.

    The script gets ``python script NAME FOLDER``, reads ``events.npz`` there and writes ``lists.npz``:

    - ``user``, ``item``, ``time`` (seconds), ``strength`` of each event before the window, oldest first of each user;
    - ``judged``: the users who want lists; ``n``: how long; ``filter_viewed``: whether what they had may not be listed;
    - written: ``lists`` [judged, n], items, best first, ``-1`` pads; ``fit_seconds`` and ``score_seconds``.

    What is excluded is taken off afterwards, so that lists are longer by as much, unless it is all that they had.

    Raises:
        NightshiftError: the script took too long, failed, or wrote something else.
    """
    users, _, excluded = case.judged
    items = len(case.catalogue)
    known = case.everyone.only(case.catalogue.available)
    all_had = _all_is(excluded, known.past.take(users), items)
    n = N if all_had else N + int(np.diff(excluded.indptr).max(initial=0))
    with TemporaryDirectory(prefix="nightshift-peer-") as made:
        folder = Path(made)
        np.savez(
            folder / "events.npz", user=known.past.users, item=known.past.items, time=known.past.times,
            strength=known.strengths, judged=users, n=n, filter_viewed=all_had,
        )  # fmt: skip
        said = folder / "said.txt"
        with said.open("w") as out:
            try:
                done = subprocess.run(
                    [peers.python, "-I", peers.script, name, folder],
                    stdout=out, stderr=subprocess.STDOUT, timeout=peers.limit_seconds, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise NightshiftError(f"not done within {peers.limit_seconds / 60:g} minutes, and ended") from error
        if done.returncode or not (folder / "lists.npz").exists():
            raise NightshiftError(f"{peers.script.name} ended with exit code {done.returncode}: {last_line(said)}")
        with np.load(folder / "lists.npz") as written:
            lists = checked(written["lists"], len(users), items, peers.script)
            fit_seconds, score_seconds = float(written["fit_seconds"]), float(written["score_seconds"])
    yield Entry(title(name), excluded.removed_from(lists, N, items), fit_seconds, score_seconds)


def checked(lists: np.ndarray, users: int, items: int, script: Path) -> Ints:
    """The lists as they are.

    Raises:
        NightshiftError: they are not one list for each user, or have an item twice, or one that there is not.
    """
    if lists.ndim != 2 or len(lists) != users or not np.issubdtype(lists.dtype, np.integer):
        raise NightshiftError(
            f"{script.name} wrote lists of shape {lists.shape} and type {lists.dtype}: expected whole numbers, a row "
            f"for each of {users:,} users"
        )
    if lists.size and not -1 <= lists.min() <= lists.max() < items:
        raise NightshiftError(
            f"{script.name} listed items from {lists.min()} to {lists.max()}: expected 0 to {items - 1}, or -1 for none"
        )
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise NightshiftError(f"{script.name} listed an item twice for a user")
    return lists.astype(np.int32)


def _all_is(excluded: Excluded, past: Histories, items: int) -> bool:
    """Whether all that users had is excluded for them."""
    keys = np.sort(excluded.keys(items))
    return bool((find(keys, past.users * items + past.items) < len(keys)).all())
