"""A fixed order of users that has nothing to do with their ids: samples of it are always of the same users."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import blake2b


def sample(users: Iterable[str], at_most: int) -> list[str]:
    """At most so many of ``users``: always the same ones, whatever their order and whoever else there is."""
    return heapq.nsmallest(at_most, users, key=shuffled)


def shuffled(user: str) -> bytes:
    """A user's place in the order."""
    return blake2b(user.encode(), digest_size=8).digest()
