"""A job that prints and ends with the exit code that it is told."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    code = int(sys.argv[1])
    print(f"working … {' '.join(sys.argv[2:])} with Java options: {os.environ.get('SPARK_SUBMIT_OPTS')}.", flush=True)
    if code > 1:
        print(f"nightshift: ERROR: told to end with {code}", file=sys.stderr, flush=True)
    sys.exit(code)
