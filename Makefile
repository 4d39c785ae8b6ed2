# Nightshift: `make help` lists what there is. Everything that a target writes is below .venv/ and var/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export NIGHTSHIFT_HOME ?= $(CURDIR)/var
# some images set it: then each of a night's processes compiles every module of its libraries again, for seconds
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
RUN := $(PY) -m nightshift.runtime.environment
REQUIREMENTS := requirements.txt requirements-dev.txt constraints.txt pyproject.toml
INSTALLED := .venv/.installed

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup  ## demo: data, a model, two nights through Airflow, then where to look (15 minutes; again: seconds)
	@$(RUN) python -m nightshift.demo

.PHONY: night
night: setup  ## one night through Airflow: make night DS=2017-12-26 [ALLOW_EMPTY=1]
	@[ -n "$(DS)" ] || { echo "Which night? make night DS=2017-12-26 [ALLOW_EMPTY=1]" >&2; exit 64; }
	@$(RUN) nightshift night "$(DS)" $(if $(filter 1 true yes,$(ALLOW_EMPTY)),--allow-empty)

.PHONY: model
model: setup  ## fine-tune and evaluate through Airflow: make model AS_OF=2017-12-23
	@[ -n "$(AS_OF)" ] || { echo "As of which day? make model AS_OF=2017-12-23" >&2; exit 64; }
	@$(RUN) nightshift model --as-of "$(AS_OF)"

.PHONY: ui
ui: setup  ## the Airflow UI on http://127.0.0.1:8080 with the DAGs and the lake; Ctrl-C stops it
	@$(RUN) python -m nightshift.runtime.airflow_ui

.PHONY: setup
setup: $(INSTALLED)  ## .venv, Delta's jars, Airflow's database; the second time takes a second
	@bash scripts/require_java.sh
	@$(MAKE) --jobs 2 setup-spark setup-airflow setup-mlflow

.PHONY: setup-spark setup-airflow setup-mlflow
setup-spark:
	@$(PY) -m nightshift.runtime.setup_spark

setup-airflow:
	@$(PY) -m nightshift.runtime.setup_airflow

setup-mlflow:
	@$(PY) -m nightshift.runtime.setup_mlflow

.PHONY: format
format: $(INSTALLED)  ## formats the code and mends what ruff can mend
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

.PHONY: check
check: $(INSTALLED)  ## formatting, ruff, mypy, the floors of the imports, and whether docs/settings.md is current
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@PYTHONPATH=dags .venv/bin/lint-imports --no-logo
	@$(PY) -m nightshift.docs --check

.PHONY: docs
docs: $(INSTALLED)  ## docs/settings.md from contracts/settings.py
	@$(PY) -m nightshift.docs

.PHONY: test
test: setup  ## all tests but test-cluster and test-s3, both DAGs end to end among them
	@.venv/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not cluster and not s3"

.PHONY: test-fast
test-fast: $(INSTALLED)  ## the tests that need neither Spark nor Airflow (a minute)
	@.venv/bin/pytest --numprocesses 2 --dist loadfile -m "not spark and not airflow and not e2e and not cluster and not s3"

.PHONY: test-cluster
test-cluster: setup  ## a night on a Spark master with two workers, as processes of their own (10 minutes)
	@.venv/bin/pytest tests/cluster

.PHONY: test-s3
test-s3: setup  ## a night whose lake and logs lie on an S3 server, which it starts and stops (10 minutes)
	@.venv/bin/pytest tests/s3

.PHONY: bench-quality
bench-quality: setup  ## what validation costs over one aggregate pass of the same rows
	@$(RUN) python -m spark_jobs.quality.bench

.PHONY: bench-model
bench-model: setup  ## the model and the baselines on the lake's next days: make bench-model [WEEKS=8] [UNTIL=2017-12-18]
	@$(RUN) nightshift bench-model --no-parts $(if $(WEEKS),--weeks $(WEEKS)) $(if $(UNTIL),--until $(UNTIL))

.PHONY: tune
tune: setup  ## better settings of [training], on validation; goes on where it was: make tune [TRIALS=20] [MINUTES=480] [ONLY=ranker]
	@$(RUN) nightshift tune $(if $(TRIALS),--trials $(TRIALS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-techniques
bench-techniques: setup  ## what each technique of the item tower does: make bench-techniques [UNTIL=2017-10-29] [DOCS=docs/techniques.md]
	@$(RUN) nightshift bench-techniques $(if $(UNTIL),--until $(UNTIL)) $(if $(DOCS),--docs "$(DOCS)")

.PHONY: bench-scoring
bench-scoring: setup  ## the scoring kernel, faiss, implicit, torch and Spark's ALS on the same vectors (15 minutes)
	@$(RUN) nightshift bench-scoring

.PHONY: bench-encoding
bench-encoding: setup  ## texts to vectors: the item tower next to sentence-transformers: make bench-encoding [TEXTS=FILE] [THREADS=1]
	@$(RUN) nightshift bench-encoding $(if $(TEXTS),--texts "$(TEXTS)") $(if $(THREADS),--threads $(THREADS))

.PHONY: bench-night
bench-night: setup  ## a night of a seeded shop, by step: make bench-night [USERS=10000] [ITEMS=5000] [EVENTS=300000] [EXECUTORS=1] [CHANGED=0.05] [JSON=FILE]
	@$(RUN) nightshift bench-night $(if $(USERS),--users $(USERS)) $(if $(ITEMS),--items $(ITEMS)) $(if $(EVENTS),--events $(EVENTS)) $(if $(filter 1 true yes,$(EXECUTORS)),--executors) $(if $(CHANGED),--changed $(CHANGED)) $(if $(JSON),--json "$(JSON)")

.PHONY: verify-incremental
verify-incremental: setup  ## a night with lists carried over next to a full one: make verify-incremental [DS=2017-12-24] [IDLE_DAYS=1]
	@$(RUN) nightshift verify-incremental $(if $(DS),--ds $(DS)) $(if $(IDLE_DAYS),--idle-days $(IDLE_DAYS))

.PHONY: plan
plan: setup  ## hours, memory and cost of a night: make plan USERS=1000000 ITEMS=100000 CORES=16 [EVENTS_PER_USER=30] [PRICE=1.20]
	@[ -n "$(USERS)" ] && [ -n "$(ITEMS)" ] && [ -n "$(CORES)" ] || { echo "Of which shop? make plan USERS=1000000 ITEMS=100000 CORES=16" >&2; exit 64; }
	@$(RUN) nightshift plan --users "$(USERS)" --items "$(ITEMS)" --cores "$(CORES)" $(if $(EVENTS_PER_USER),--events-per-user "$(EVENTS_PER_USER)") $(if $(PRICE),--price-per-hour "$(PRICE)")

.PHONY: chaos-data
chaos-data: setup  ## nights that go wrong, on generated logs through Airflow, and what came of each (20 minutes)
	@$(RUN) python -m nightshift.chaos $(if $(DOCS),--docs "$(DOCS)")

.PHONY: env
env:  ## .env with random secrets for docker compose; an existing one stays
	@bash scripts/make_env.sh

.PHONY: lock
lock: $(INSTALLED)  ## constraints.txt from requirements-dev.txt
	@bash scripts/lock.sh

.PHONY: clean
clean:  ## deletes var/ of this checkout: tables, models, logs, the demo data
	rm -rf "$(CURDIR)/var"

$(INSTALLED): $(REQUIREMENTS) scripts/install.sh
	@bash scripts/install.sh
	@touch $@
