"""The comparison on the test window: who is judged, what baselines and texts alone give, every metric by segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.settings import Settings
from models import baselines, metrics
from models.behaviours import Behaviours, Known
from models.catalogue import CATEGORY, Catalogue
from models.cooccurrence import neighbours_of
from models.histories import Flags, Histories, Ints
from models.kernel import best_matches
from models.metrics import Estimate, Relevant
from models.ragged import row_of_each
from models.text_vectors import TextVectors

N = 20
"""Length of the lists that are compared."""
LENGTHS = (10, 20)
GATE = "ndcg@10"
"""The metric that decides."""
ALL = "all"
RECENT_TEXTS = 50
"""Newest events whose texts stand for a user, where the text alone recommends."""

Results = dict[tuple[str, str], Estimate]
"""Every metric of one recommender, by (segment, metric)."""


@dataclass(frozen=True)
class Trial:
    """The users of the test window: what was known, and the items of their target events in it."""

    user_ids: Sequence[str]
    histories: Histories
    relevant: Relevant
    catalogue: Catalogue
    now: int  # start of the test window, seconds
    everyone: Histories  # target events of all users, which baselines count in
    judged: Ints  # [users], the trial's users among everyone

    @classmethod
    def of(
        cls,
        user_ids: Sequence[str],
        histories: Histories,
        relevant: Relevant,
        catalogue: Catalogue,
        targets: Sequence[int],
        now: int,
    ) -> Trial:
        """The users with a history and something relevant; ``targets`` are numbers of the target behaviours."""
        judged = np.flatnonzero((relevant.counts > 0) & (histories.lengths > 0)).astype(np.int32)
        known = histories.select(histories.items >= 0)
        return cls(
            [user_ids[user] for user in judged.tolist()],
            known.take(judged),
            relevant.take(judged),
            catalogue,
            now,
            known.select(known.are_of(targets)),
            judged,
        )


def baseline_lists(trial: Trial, settings: Settings) -> dict[str, Ints]:
    """Lists of each baseline that is arrays alone, [users, N]."""
    cooccurrence, rules = settings.training.cooccurrence, settings.baselines
    known = Known.of(trial.everyone, Behaviours.of(settings.ingest.behaviours, settings.ingest.targets), trial.now)
    neighbours = neighbours_of(known, len(trial.catalogue), cooccurrence)
    lists = {
        baselines.popular_name(rules): baselines.popular(trial.everyone, trial.now, N, rules),
        baselines.own_repeats_name(rules): baselines.own_repeats(trial.everyone, trial.now, N, rules),
        baselines.ITEM_KNN: baselines.item_knn(known, neighbours, N, cooccurrence, rules),
    }
    return {name: of_everyone[trial.judged] for name, of_everyone in lists.items()}


def text_lists(trial: Trial, known: TextVectors, is_warm: Flags) -> Iterator[tuple[str, Ints]]:
    """Lists by the text alone, before and after tuning: items closest to the mean of the newest texts.

    Only the items that the tower was tuned for, those that are warm [items], take part, in both.
    """
    rows = known.rows(list(trial.catalogue.texts))
    takes_part = (rows >= 0) & is_warm
    recent = trial.histories.last(RECENT_TEXTS)
    for name, vectors in (("before", known.before), ("after", known.after)):
        centred = vectors - vectors[rows[takes_part]].mean(0)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        of_items = np.where(takes_part[:, None], centred[rows], np.float32(0))
        of_users = np.zeros((len(recent), of_items.shape[1]), dtype=np.float32)
        np.add.at(of_users, recent.users, of_items[recent.items])
        yield f"text_{name}_tuning", best_matches(of_users, of_items, takes_part, N)


def segments(trial: Trial) -> dict[str, Relevant]:
    """Parts of what is relevant: all, new to the user or repeated, head (the tenth with most events) or tail items."""
    relevant, items = trial.relevant, len(trial.catalogue)
    owner = row_of_each(relevant.indptr)
    past = trial.histories
    repeated = np.isin(owner * items + relevant.items, past.users * items + past.items)
    events = np.bincount(past.items, minlength=items)
    head = events >= np.quantile(events[events > 0], 0.9) if (events > 0).any() else events > 0
    light = past.lengths < np.median(past.lengths)
    parts = {
        "items: new to the user": ~repeated,
        "items: repeated": repeated,
        "items: head": head[relevant.items],
        "items: tail": ~head[relevant.items],
        "users: short history": light[owner],
        "users: long history": ~light[owner],
    }
    return {ALL: relevant} | {name: relevant.select(keep) for name, keep in parts.items()}


def measured(trial: Trial, lists: Ints) -> Results:
    """Every metric of one recommender's lists [users, N]."""
    results: Results = {}
    for segment, relevant in segments(trial).items():
        for n in LENGTHS:
            for name, values in metrics.accuracy(lists, relevant, n).items():
                results[segment, f"{name}@{n}"] = metrics.estimate(values)
    events = np.bincount(trial.everyone.items, minlength=len(trial.catalogue))
    share = metrics.coverage(lists[:, :10], len(trial.catalogue))
    results[ALL, "coverage@10"] = Estimate(share, float("nan"), float("nan"), len(trial.user_ids))
    results[ALL, "novelty@10"] = metrics.estimate(metrics.novelty(lists[:, :10], events))
    results[ALL, "diversity@10"] = metrics.estimate(metrics.diversity(lists[:, :10], trial.catalogue.codes[CATEGORY]))
    return results


def gain(trial: Trial, challenger: Ints, rival: Ints) -> Estimate:
    """How much higher the challenger's NDCG@10 is than the rival's, on the same users."""
    ours, theirs = (metrics.accuracy(lists, trial.relevant, 10)["ndcg"] for lists in (challenger, rival))
    return metrics.paired_difference(ours, theirs)
