"""A job that ends with the exit code that it is told, and explains it with the words that it is told."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # arguments are templates, and what a job finds in the logs is not one
    words = sys.argv[2].replace("[[", "{{").replace("]]", "}}")
    print(f"nightshift: ERROR: {words}", file=sys.stderr, flush=True)
    sys.exit(int(sys.argv[1]))
