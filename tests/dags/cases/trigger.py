"""Runs a trigger as the triggerer does, from what it serialises to, until it fires. Run by test_waiting.py.

The arguments of the class are JSON on the command line; each line of standard output is what happened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module

from nightshift.runtime import triggers


async def main() -> None:
    """Says when it looks for the first time, and when it fires."""
    kind, seconds, arguments = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    path, told = getattr(triggers, kind)(until=until, poll_seconds=0.2, **arguments).serialize()
    module, name = path.rsplit(".", 1)
    trigger = getattr(import_module(module), name)(**told)
    print("looks", flush=True)
    async for _ in trigger.run():
        print(f"fired {'at' if datetime.now(UTC) >= until else 'before'} the end", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
