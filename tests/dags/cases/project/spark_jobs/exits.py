"""A job that prints, gives results and ends with the exit code that it is told."""

from __future__ import annotations

import os
import sys

from contracts.cli import give_result

if __name__ == "__main__":
    code = int(sys.argv[1])
    print(f"working … {' '.join(sys.argv[2:])} with Java options: {os.environ.get('SPARK_SUBMIT_OPTS')}.", flush=True)
    give_result({"model_id": f"2017-01-02-{code}"})
    give_result({"versions": {"events": 3, "items": None}})
    if code > 1:
        print(f"nightshift: ERROR: told to end with {code}", file=sys.stderr, flush=True)
    sys.exit(code)
