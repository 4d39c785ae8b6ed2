"""candidates draft"""
from __future__ import annotations

from dataclasses import dataclass
import numpy as np
from numpy.typing import NDArray
from models.cooccurrence import Together
from models.features import Candidates
from models.histories import DAY, Floats, Histories, Ints, Longs

SOURCES = ("repeat", "together", "match", "popular")

@dataclass(frozen=True)
class Caps:
    repeat: int = 200
    together: int = 100
    match: int = 100
    popular: int = 100
    half_life_days: float = 60.0


def generate(histories: Histories, near: Together, matched: Ints, best: Ints, now: int, items: int, caps: Caps) -> Candidates:
    n_users = len(histories)
    past = histories.select((histories.times < now) & (histories.items >= 0))
    decay = np.exp2(-(now - past.times) / DAY / caps.half_life_days)
    key = past.users.astype(np.int64) * items + past.items
    order = np.argsort(key, kind="stable")
    k2 = key[order]
    st = np.flatnonzero(np.diff(k2, prepend=-1))
    keys = k2[st]
    score = np.add.reduceat(decay[order], st) if len(st) else np.empty(0)
    own_u, own_i = _top(keys // items, keys % items, score, caps.repeat)
    nu = np.repeat(np.arange(n_users), np.diff(near.indptr))
    tog_u, tog_i = _top(nu, near.items, near.scores, caps.together)
    matched = matched[:, : caps.match]
    mu = np.repeat(np.arange(n_users), matched.shape[1]); mi = matched.ravel(); mu, mi = mu[mi >= 0], mi[mi >= 0]
    pop = best[: caps.popular]
    pu = np.repeat(np.arange(n_users), len(pop)); pi = np.tile(pop, n_users)
    user = np.concatenate([own_u, tog_u, mu, pu]).astype(np.int64)
    item = np.concatenate([own_i, tog_i, mi, pi])
    src = np.repeat(np.arange(4, dtype=np.int8), [len(own_u), len(tog_u), len(mu), len(pu)])
    k, f = np.unique(user * items + item, return_index=True)
    # keep in (user, source, order)
    f = f[np.lexsort((f, user[f]))]
    counts = np.bincount(user[f], minlength=n_users)
    return Candidates(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), item[f].astype(np.int32), src[f])


def _top(user, item, score, n):
    order = np.lexsort((item, -score, user))
    user, item = user[order], item[order]
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    return user[rank < n], item[rank < n]
