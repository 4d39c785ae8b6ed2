# One image for everything: Airflow's services, Celery workers, Spark master and workers. See docker-compose.yml.
FROM python:3.11-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps tini libgomp1 \
    && rm -rf /var/lib/apt/lists/*

# the same user everywhere: Spark's executors write into folders that Airflow's tasks make
RUN useradd --create-home --uid 50000 nightshift \
    && install -d -o nightshift -g nightshift /opt/nightshift /var/nightshift
USER 50000
WORKDIR /opt/nightshift

ENV PATH=/opt/nightshift/.venv/bin:$PATH \
    NIGHTSHIFT_HOME=/var/nightshift \
    NIGHTSHIFT_PROFILE=full \
    UV_COMPILE_BYTECODE=1

# requirements first: code changes do not install them again
COPY --chown=nightshift requirements.txt requirements-docker.txt constraints.txt ./
RUN python -m venv /home/nightshift/uv \
    && /home/nightshift/uv/bin/pip install --no-cache-dir uv==0.13.9 \
    && python -m venv --without-pip .venv \
    && VIRTUAL_ENV=/opt/nightshift/.venv /home/nightshift/uv/bin/uv pip install --no-cache \
       -r requirements-docker.txt -c constraints.txt

COPY --chown=nightshift . .
RUN VIRTUAL_ENV=/opt/nightshift/.venv /home/nightshift/uv/bin/uv pip install --no-cache --no-deps -e .

# nightshift.runtime.environment gives every command what Airflow and Spark need; the compose file overrides it
ENTRYPOINT ["tini", "--", "python", "-m", "nightshift.runtime.environment"]
CMD ["airflow", "version"]
