"""A job that prints and ends with the exit code that it is told."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    code = int(sys.argv[1])
    print("working …", flush=True)
    if code > 1:
        print(f"nightshift: ERROR: told to end with {code}", file=sys.stderr, flush=True)
    sys.exit(code)
