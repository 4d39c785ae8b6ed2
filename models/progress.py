"""Signs of life of long loops."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("nightshift")

SECONDS = 30.0
"""Between two lines: what is shorter is silent."""


class Progress:
    """Logs how far a loop has come, now and then."""

    def __init__(self, total: int, what: str) -> None:
        """Of ``total`` things, ``what`` says what happens to them: texts encoded."""
        self.total, self.what = total, what
        self.told = time.monotonic()

    def at(self, done: int) -> None:
        """Logs ``done`` of all, if it is time again."""
        if done < self.total and (now := time.monotonic()) - self.told >= SECONDS:
            self.told = now
            log.info("%s of %s %s …", f"{done:,}", f"{self.total:,}", self.what)
