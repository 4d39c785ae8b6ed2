"""Everyone encodes the same texts in turns; how fast, and whether the same texts are close then."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts import catalogue as catalogues
from contracts.catalogue import Edition
from contracts.cli import log, start_log
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.files import write_atomically
from contracts.settings import Settings, load_settings
from models.devices import torch_threads
from models.histories import Floats
from models.item_tower import ItemTower
from nightshift.bench_encoding.contenders import OURS, PLAIN, chosen
from nightshift.bench_model.files import texts_of

TURNS = 3
"""The best of so many counts."""
NEAREST = 20


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    texts: Path | None
    most: int
    threads: int
    only: tuple[str, ...]
    as_json: Path | None


@dataclass(frozen=True)
class Timed:
    """How one contender did."""

    name: str
    texts_per_second: float
    of_plain: float  # times the rate of sentence-transformers
    same_nearest: float  # share of each text's nearest that are the same as by ours
    least_cosine: float  # of a text's vector to ours
    preparing: float  # seconds


@dataclass(frozen=True)
class Outcome:
    """A whole benchmark."""

    texts: int
    distinct: int
    tokens: float  # of a text, on average, after the cut
    threads: int
    contenders: list[Timed]


def run(wanted: Wanted) -> Outcome:
    """Encodes texts by everyone.

    Raises:
        InputError: there are no texts, or a library that was asked for is not installed.
    """
    start_log()
    settings = load_settings()
    makers, own = chosen(wanted.only), settings.training.tower
    texts = sample(all_texts(settings, wanted.texts), wanted.most, settings.training.seed)
    tower = ItemTower.pre_trained(own)
    encoders, preparing = {}, {}
    for name, make in makers.items():
        begun = time.perf_counter()
        encoders[name] = make(tower, own, wanted.threads)
        preparing[name] = time.perf_counter() - begun
    seconds = dict.fromkeys(encoders, float("inf"))
    vectors: dict[str, Floats] = {}
    for turn in range(TURNS):
        log.info("%s texts by each of %s, turn %s of %s …", f"{len(texts):,}", len(encoders), turn + 1, TURNS)
        for name, encode in encoders.items():
            with torch_threads(wanted.threads):
                encode(texts[:32])  # warm
                begun = time.perf_counter()
                vectors[name] = encode(texts)
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
    nearest = {name: nearest_of(each) for name, each in vectors.items()}
    outcome = Outcome(
        len(texts),
        len(set(texts)),
        float(np.mean([len(each) for each in tower.tokens(texts)])),
        wanted.threads,
        [
            Timed(
                name,
                len(texts) / took,
                seconds[PLAIN] / took,
                same(nearest[OURS], nearest[name]),
                float((vectors[OURS] * vectors[name]).sum(axis=1).min()),
                preparing[name],
            )
            for name, took in seconds.items()
        ],
    )
    if wanted.as_json:
        write_atomically(wanted.as_json, json.dumps(asdict(outcome), indent=1) + "\n")
    return outcome


def all_texts(settings: Settings, file: Path | None) -> list[str]:
    """The text of each item: of a file as of `nightshift bench-model --texts`, or of the newest catalogue.

    Raises:
        InputError: there is none.
    """
    if file is not None:
        return [told.get("text", "") for told in texts_of(file, settings.ingest.item_text).values()]
    known = catalogues.days(settings)
    if not known:
        raise InputError(f"{settings.home} has no catalogue yet: give --texts, or take in logs (nightshift history).")
    return [str(text) for text in catalogues.arrow(settings, Edition(max(known)), [C.TEXT])[C.TEXT].to_pylist()]


def sample(texts: list[str], most: int, seed: int) -> list[str]:
    """At most so many of the texts, with a seed, in their order."""
    if len(texts) <= most:
        return texts
    rows = np.sort(np.random.default_rng(seed).choice(len(texts), most, replace=False))
    return [texts[row] for row in rows.tolist()]


def nearest_of(vectors: Floats) -> NDArray[np.int64]:
    """The nearest others of each text, best first, ties by text, [texts, NEAREST]."""
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    return np.argsort(-products, axis=1, kind="stable")[:, :NEAREST]


def same(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> float:
    """Share of our nearest that are among theirs."""
    return float(np.mean([np.isin(*pair).mean() for pair in zip(ours, theirs, strict=True)]))
