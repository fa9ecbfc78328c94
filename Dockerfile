# The program with Prefect and MLflow, for every service of compose.yaml: a worker by default.
# Not built where it was written, as there was no Docker: only the tests of it have run.
FROM python:3.11-slim-bookworm

# git for `phraseldm fetch`.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 phraseldm

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY flows flows
COPY tasks tasks
COPY phrase_models phrase_models
COPY storage storage
COPY prefect.yaml automations.yaml ./
# Name the index of PyTorch's CPU builds in it: the usual one has builds with CUDA, ten times as large.
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir -c constraints.txt -e '.[postgres]'

# Volumes take over the owner of the folder that they are mounted at.
RUN install --directory --owner phraseldm --group phraseldm /work /cache /mlflow /prefect
USER phraseldm
ENV PHRASE_LDM_HOME=/work \
    PHRASE_LDM_CACHE=/cache \
    PREFECT_HOME=/prefect \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
CMD ["prefect", "worker", "start", "--pool", "gpu", "--limit", "1"]
