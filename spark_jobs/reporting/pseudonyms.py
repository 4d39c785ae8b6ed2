"""Users outside the tables: a pseudonym, which is a hash with a key that stays in NIGHTSHIFT_HOME."""

from __future__ import annotations

import json
from hashlib import blake2b

from contracts.columns import Columns as C
from contracts.files import secret
from contracts.settings import Settings

MAX_RECORD = 300
"""Characters of a raw record that are shown."""


def pseudonym(user_id: str, key: bytes) -> str:
    """A short stable name, for example ``user 3f9a61c0``; who has not the key cannot find the id by trying all."""
    return f"user {blake2b(user_id.encode(), key=key, digest_size=4).hexdigest()}"


def pseudonym_key(settings: Settings) -> bytes:
    """The key of this home's pseudonyms, made once; delete the file and everyone has a new name."""
    # a key of blake2b is at most 64 bytes, which the secret's 64 characters are
    return secret(settings.home / "secrets" / "pseudonym.key").encode()


def masked(record: str, key: bytes) -> str:
    """A raw record with its user under a pseudonym; its length only, where it cannot be parsed."""
    try:
        values = json.loads(record)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return f"a record of {len(record)} characters that is not a JSON object"
    if values.get(C.USER_ID) is not None:
        values[C.USER_ID] = pseudonym(str(values[C.USER_ID]), key)
    shown = json.dumps(values, ensure_ascii=False)
    return shown if len(shown) <= MAX_RECORD else f"{shown[: MAX_RECORD - 1]}…"
