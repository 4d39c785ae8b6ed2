#!/usr/bin/env bash
# Writes .env with random secrets for docker-compose.yml. An existing file stays: its secrets are in use.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -e .env ]; then
  echo ".env is there already and stays as it is."
  exit 0
fi
random() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n='; }
umask 077
draft=$(mktemp .env.XXXXXX)
trap 'rm -f "$draft"' EXIT
cat >"$draft" <<SECRETS
# Secrets of docker-compose.yml. Not for git. Made by: make env
POSTGRES_PASSWORD=$(random 24)
REDIS_PASSWORD=$(random 24)
AIRFLOW_ADMIN_PASSWORD=$(random 18)
AIRFLOW_JWT_SECRET=$(random 48)
AIRFLOW_FERNET_KEY=$(random 32)=
SECRETS
ln "$draft" .env
echo "Wrote .env (mode 600). The UI's user is admin; the password is AIRFLOW_ADMIN_PASSWORD in it."
