"""`python -m nightshift` is the command `nightshift`."""

from __future__ import annotations

from nightshift.command.app import main

if __name__ == "__main__":
    main()
