"""The best few of a stream of scores, exactly: compiled loops over blocks that a matrix product has just written.

Each user has a threshold: what does not pass it is not among the best, and is looked at by vector instructions only.
What passes is kept; when a user's room is full, the best ``k`` stay, and the last of them is the new threshold.
Items come in ascending order, so a later item with a score that equals the threshold loses: ties go to the smaller
item.

What is kept is one number, a key: the score's bits, made to compare as integers, above the complement of the item.
The largest key is the best item.
"""

from __future__ import annotations

import numpy as np

from models.compiled import compiled
from models.ragged import Floats, Ints, Longs

CHUNK = 256
"""Scores that are tested against the threshold at once."""
NOTHING = np.iinfo(np.int64).min
"""The key of no item."""

_MAGNITUDE = np.int64(0x7FFFFFFF)
_ITEM = np.int64(0xFFFFFFFF)
# where the only bit of a word of eight bytes is, by the word's product with a De Bruijn sequence
_SEQUENCE = np.uint64(0x022FDD63CC95386D)
_BYTE_OF = np.zeros(64, dtype=np.int64)
_BYTE_OF[[(((1 << bit) * int(_SEQUENCE)) & (2**64 - 1)) >> 58 for bit in range(64)]] = np.arange(64) // 8


def items_of(keys: Longs) -> Ints:
    """The items of keys; -1 for `NOTHING`."""
    items: Ints = np.where(keys == NOTHING, -1, _ITEM - (keys & _ITEM)).astype(np.int32)
    return items


def scores_of(keys: Longs) -> Floats:
    """The scores of keys; NaN for `NOTHING`."""
    ordered = (keys >> 32).astype(np.int32)
    scores = np.where(ordered < 0, ordered ^ np.int32(_MAGNITUDE), ordered).view(np.float32)
    return np.where(keys == NOTHING, np.float32(np.nan), scores)


@compiled
def keep_best(
    scores: Floats,  # [users or more, items or more]
    items: Ints,  # [items], ascending, and above those of the blocks before
    k: int,
    kept: Longs,  # [users, room]: keys; room is more than k
    counts: Longs,  # [users]: how many keys are kept
    thresholds: Floats,  # [users]
    excluded: Ints,  # each user's own, ascending
    cursors: Longs,  # [users]: where in ``excluded`` each user is
    ends: Longs,  # [users]: where each user's part of ``excluded`` ends
    categories: Ints,  # [all items]; empty where ``most`` is 0
    most: int,  # of a category; 0 for no limit
    seen: Longs,  # [categories]: zeros, before and after
) -> None:
    """Takes a block of scores in; what is kept, counts, thresholds and cursors change."""
    bits = scores.view(np.int32)
    flags = np.zeros(CHUNK, np.uint8)
    words = flags.view(np.uint64)
    for user in range(len(counts)):
        threshold, count, cursor = thresholds[user], counts[user], cursors[user]
        end, mine = ends[user], kept[user]
        for chunk in range((len(items) + CHUNK - 1) // CHUNK):
            start = chunk * CHUNK
            row = scores[user, start : min(start + CHUNK, len(items))]
            passing = np.int32(0)
            for place in range(len(row)):  # no branch: eight or sixteen at once
                passing += np.int32(1) if row[place] > threshold else np.int32(0)
            if passing == 0:
                continue
            for place in range(len(row)):
                flags[place] = row[place] > threshold
            for place in range(len(row), (len(row) + 7) // 8 * 8):
                flags[place] = 0
            for word in range((len(row) + 7) // 8):
                left = words[word]
                while left:
                    lowest = left & (~left + np.uint64(1))
                    left ^= lowest
                    place = word * 8 + _BYTE_OF[(lowest * _SEQUENCE) >> np.uint64(58)]
                    if not row[place] > threshold:  # it rose since
                        continue
                    item = items[start + place]
                    while cursor < end and excluded[cursor] < item:
                        cursor += 1
                    if cursor < end and excluded[cursor] == item:
                        continue
                    mine[count] = _key(bits[user, start + place], item)
                    count += 1
                    if count == len(mine):
                        count = _only_best(mine, count, k, categories, most, seen)
                        if count == k:
                            threshold = _score(mine[:k].min())
        thresholds[user], counts[user], cursors[user] = threshold, count, cursor


@compiled
def only_best(kept: Longs, counts: Longs, k: int, categories: Ints, most: int, seen: Longs) -> None:
    """Leaves the best ``k`` of what is kept for each user, in no order, and `NOTHING` behind where there are fewer."""
    for user in range(len(counts)):
        counts[user] = _only_best(kept[user], counts[user], k, categories, most, seen)
        kept[user, counts[user] : k] = NOTHING


@compiled
def leave_out(scores: Floats, column_of: Ints, excluded: Ints, starts: Longs, ends: Longs) -> None:
    """Sets the ``scores`` [users, columns] of each user's excluded items to -inf; items without a column have -1."""
    for user in range(len(starts)):
        for place in range(starts[user], ends[user]):
            column = column_of[excluded[place]]
            if column >= 0:
                scores[user, column] = -np.inf


@compiled
def _key(bits: np.int32, item: np.int32) -> np.int64:
    ordered = np.int64(bits)
    if ordered == -(_MAGNITUDE + 1):  # -0.0 is 0.0
        ordered = np.int64(0)
    if ordered < 0:
        ordered ^= _MAGNITUDE
    return (ordered << 32) | (_ITEM - np.int64(item))


@compiled
def _score(key: np.int64) -> np.float32:
    ordered = np.int64(key >> 32)
    if ordered < 0:
        ordered ^= _MAGNITUDE
    return np.int32(ordered).view(np.float32)


@compiled
def _only_best(keys: Longs, count: int, k: int, categories: Ints, most: int, seen: Longs) -> int:
    """Moves the best ``k`` of ``keys[:count]`` to the front; how many there are."""
    if most:
        return _within_categories(keys, count, k, categories, most, seen)
    if count > k:
        _partition(keys, count, k)
    return min(count, k)


@compiled
def _within_categories(keys: Longs, count: int, k: int, categories: Ints, most: int, seen: Longs) -> int:
    """The same with at most ``most`` of a category. What is left out stays out: better ones of its category are in."""
    keys[:count].sort()
    keys[:count] = keys[:count][::-1].copy()
    left = 0
    for place in range(count):
        category = categories[_ITEM - (keys[place] & _ITEM)]
        if seen[category] < most and left < k:
            seen[category] += 1
            keys[left] = keys[place]
            left += 1
    for place in range(left):
        seen[categories[_ITEM - (keys[place] & _ITEM)]] = 0
    return left


@compiled
def _partition(keys: Longs, count: int, k: int) -> None:
    """Moves the ``k`` largest of ``keys[:count]``, which are distinct, to the front (quickselect of Hoare, 1961)."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        first, last = min(keys[low], keys[high]), max(keys[low], keys[high])
        pivot = max(first, min(last, keys[middle]))  # the median of the three
        left, right = low, high
        while left <= right:
            while keys[left] > pivot:
                left += 1
            while keys[right] < pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                left += 1
                right -= 1
        if k - 1 <= right:
            high = right
        elif k - 1 >= left:
            low = left
        else:
            return
