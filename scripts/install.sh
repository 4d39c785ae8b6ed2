#!/usr/bin/env bash
# Makes .venv with everything in requirements-dev.txt at the versions of constraints.txt, and the project editable.
set -euo pipefail
cd "$(dirname "$0")/.."

is_311() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

python=""
for candidate in "${PYTHON:-python3.11}" python3.11 python3 python "${HOME}/.pyenv/versions/"3.11.*/bin/python; do
  if is_311 "$candidate"; then python="$candidate"; break; fi
done
if [ -z "$python" ]; then
  echo "nightshift: ERROR: Python 3.11 with venv is needed and was not found: install it (Debian: python3.11-venv)," \
    "or name it: make PYTHON=/path/to/python3.11" >&2
  exit 64
fi

# uv in an environment of its own: what it installs never mixes with what the project needs
uv=".venv/uv/bin/uv"
if [ ! -x .venv/bin/python ] || [ ! -x "$uv" ]; then
  echo "Making .venv with $("$python" --version) …"
  "$python" -m venv --without-pip .venv
  "$python" -m venv .venv/uv
  .venv/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==0.13.9"
fi

echo "Installing the requirements (about a minute) …"
export VIRTUAL_ENV="$PWD/.venv"
"$uv" pip install --quiet -r requirements-dev.txt -c constraints.txt
"$uv" pip install --quiet --no-deps -e .
