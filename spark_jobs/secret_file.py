"""A secret of this home: made once, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret(file: Path) -> str:
    """The secret that ``file`` holds; 256 random bits and more, as URL-safe text, where there is none yet."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        draft.replace(file)
    return file.read_text()
