#!/usr/bin/env bash
# Pins everything that the requirements bring, so that every set-up and every image installs the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/uv/bin/uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
  --output-file constraints.txt requirements-dev.txt requirements-docker.txt
