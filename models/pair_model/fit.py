"""Fits a pair model on the ranker's lists in its windows, and says what it gains and costs.

Users are parted once, whatever the window: most teach the model, some choose its step and weight, and the others, of
whom nothing was chosen, tell the gain. The ranker has seen them all: its own order looks a little better than it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from contracts.cli import timed
from contracts.settings import Training
from models.candidates import label
from models.catalogue import Catalogue
from models.histories import Floats
from models.metrics import paired_difference
from models.moment import Moment
from models.pair_model.lists import RankedLists, Say, of_those_that_move, weight_of
from models.pair_model.network import PairModel, tuned
from models.pair_model.student import Student, distilled, read_of
from models.pair_model.texts import Teller
from models.pair_model.told import Gain, Gains
from models.pair_model.use import UsablePair
from models.ranker import Ranker
from models.recommend import scored
from models.training import Report
from models.user_encoder import UserEncoder

log = logging.getLogger("nightshift")

AT_ONCE = 256
"""Users whose candidates are ranked at once."""
TIMED_USERS = 8
"""By whose lists it is measured what a user costs."""


@dataclass(frozen=True)
class FittedPair:
    """A pair model that was fitted: what the night needs of it, and what it gained."""

    usable: UsablePair | None  # None where it does not tell the ranker anything
    gains: Gains


def ranked_lists(
    moment: Moment, catalogue: Catalogue, encoder: UserEncoder, ranker: Ranker, settings: Training, most: int, seed: int
) -> RankedLists:
    """The best candidates of the judged users of a window, in the ranker's order; of ``most`` users at most."""
    own, teller, items = settings.pair_model, Teller(catalogue, settings.pair_model), len(catalogue)
    drawn = np.sort(np.random.default_rng(seed).permutation(moment.judged)[:most])
    parts = []
    for start in range(0, len(drawn), AT_ONCE):
        users = drawn[start : start + AT_ONCE]
        known, relevant = moment.known.take(users), moment.relevant.take(users)
        made, scores = scored(known, moment.state, encoder, ranker, settings, moment.excluded.take(users))
        lists = RankedLists(
            users,
            np.array(teller.users(known), dtype=object),
            read_of(known, moment.state.texts, own.user_items),
            made.candidates.indptr,
            made.candidates.items,
            scores,
            label(made.candidates, relevant, items),
            relevant.counts,
        )
        parts.append(lists.best(max(own.best, own.reranked)))
    return RankedLists.joined(parts)


def fit_pair(
    moments: Iterable[Moment],
    windows: int,
    catalogue: Catalogue,
    texts: Floats,
    encoder: UserEncoder,
    ranker: Ranker,
    settings: Training,
    report: Report,
) -> FittedPair | None:
    """A pair model of the setting's kind; None, with a warning, where the lists hold too little to learn from.

    Args:
        moments: The ranker's windows; one at a time is in memory.
        windows: How many they are.
        catalogue: The items.
        texts: Unit vectors of their texts, [items, text size].
        encoder: Of the users, as the ranker knows it.
        ranker: Whose lists are reordered.
        settings: Of everything.
        report: Told of losses and metrics.
    """
    own = settings.pair_model
    with timed("Lists of the pair model"):
        each = max(1, own.users // windows)
        lists = RankedLists.joined(
            [
                ranked_lists(moment, catalogue, encoder, ranker, settings, each, settings.seed + number)
                for number, moment in enumerate(moments)
            ]
        )
    learn, choose, tell = parted(lists, own.held_out_share, settings.seed)
    log.info(
        "Pair model: %d lists to learn from, of which %d hold what was taken; %d choose, %d tell",
        len(learn), np.count_nonzero(learn.hits), len(choose), len(tell),
    )  # fmt: skip
    if not all(np.any((part.hits > 0) & (part.hits < np.diff(part.indptr))) for part in (learn, choose, tell)):
        log.warning("There is no pair model: too few lists hold something that was taken. Set its best higher.")
        return None
    items = catalogue.texts.tolist()
    first = choose.best(own.reranked)

    def reads(model: PairModel) -> Say:
        def say(lists: RankedLists) -> Floats:
            told, shown = lists.told[lists.owner].tolist(), catalogue.texts[lists.items].tolist()
            return model.logits(told, shown, settings.tower.text_batch)

        return say

    def reordered(model: PairModel) -> float:
        logits = of_those_that_move(reads(model))(first)
        return float(np.nanmean(first.ndcg(first.raised(logits, weight_of(first, logits)))))

    before = float(np.nanmean(first.ndcg(first.scores)))
    with timed(f"Tuning the pair model ({own.tuning}, {own.loss})"):
        model = tuned(learn, items, settings, before, reordered, report)
    with timed("What the pair model gains"):
        ways = {"rerank": gain(reads(model), choose, tell, own.reranked)}
    says: PairModel | Student = model
    if own.use == "distilled" and ways["rerank"].weight:
        with timed("Distilling the pair model"):
            student = says = student_of(learn.best(own.best), reads(model), texts, settings, report)

        def reads_vectors(lists: RankedLists) -> Floats:
            return student.logits(lists.read, lists.owner, lists.items, texts)

        ways["distilled"] = gain(reads_vectors, choose, tell, own.best)
    gains = Gains(own.use, ways)
    log.info("Pair model: %s", gains)
    weight = ways[own.use].weight if own.use in ways else 0.0
    return FittedPair(UsablePair(says, weight) if weight else None, gains)


def parted(lists: RankedLists, held_out_share: float, seed: int) -> tuple[RankedLists, RankedLists, RankedLists]:
    """The lists of the users that teach, choose and tell."""
    lot = np.random.default_rng([seed, 4]).random(int(lists.users.max(initial=0)) + 1)[lists.users]
    half = held_out_share / 2
    return lists.take(lot >= held_out_share), lists.take(lot < half), lists.take((lot >= half) & (lot < held_out_share))


def student_of(lists: RankedLists, say: Say, texts: Floats, settings: Training, report: Report) -> Student:
    """A student of the pair model whose logits are ``say``, on pairs drawn among all ``lists``."""
    own = settings.pair_model
    count = min(own.distilled_pairs, len(lists.items))
    rows = np.sort(np.random.default_rng([settings.seed, 6]).choice(len(lists.items), count, replace=False))
    keep = np.zeros(len(lists.items), dtype=np.bool_)
    keep[rows] = True
    some = lists.select(keep)
    logits = say(some)
    return distilled(some.read, some.owner, some.items, logits, texts, own.student_size, settings.seed, report)


def gain(say: Say, choose: RankedLists, tell: RankedLists, best: int) -> Gain:
    """What reordering the ``best`` of each list is worth: ``choose`` gives the weight, ``tell`` the gain."""
    choose, tell = choose.best(best), tell.best(best)
    weight = weight_of(choose, of_those_that_move(say)(choose))
    before = tell.ndcg(tell.scores)
    after = tell.ndcg(tell.raised(of_those_that_move(say)(tell), weight))
    difference = paired_difference(after, before)
    return Gain(
        best,
        weight,
        len(tell),
        float(np.nanmean(before)),
        float(np.nanmean(after)),
        difference.low,
        difference.high,
        milliseconds(say, tell.take(np.arange(min(TIMED_USERS, len(tell))))),
    )


def milliseconds(say: Say, lists: RankedLists) -> float:
    """Time a list on one core, as an executor has it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begun = time.monotonic()
        say(lists)
        return 1000 * (time.monotonic() - begun) / len(lists)
    finally:
        torch.set_num_threads(threads)
