#!/usr/bin/env bash
# Java 17 (or 21) for Spark: found, or installed where apt may, or one clear line.
set -euo pipefail

java_major() {
  local java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  "$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

case "$(java_major || true)" in 17 | 21) exit 0 ;; esac

root=()
if [ "$(id -u)" != 0 ]; then root=(sudo -n); fi
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
  echo "Installing Java 17 (openjdk-17-jre-headless) …"
  if "${root[@]}" apt-get update -qq && "${root[@]}" apt-get install -y -qq openjdk-17-jre-headless >/dev/null \
    && [ "$(java_major || true)" = 17 ]; then
    exit 0
  fi
fi
echo "nightshift: ERROR: Spark needs Java 17: install it (Debian: openjdk-17-jre-headless) or set JAVA_HOME to it." >&2
exit 64
