# stableft on a CPU: docker build -t stableft . && docker run --rm stableft
FROM python:3.11-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 stableft && mkdir /work && chown stableft /work
USER 1000
WORKDIR /work
# By default torch brings its packages for GPUs, 3 GB. The address of torch's index of CPU builds saves them:
# docker build --build-arg PIP_EXTRA_INDEX_URL=... -t stableft .
ARG PIP_EXTRA_INDEX_URL
# The pinned packages first: they change less often than the code.
COPY --chown=stableft requirements.lock ./
RUN python -m venv .venv \
  && .venv/bin/pip install --no-cache-dir -r requirements.lock
COPY --chown=stableft . .
RUN make setup
# Results and figures are kept by `docker run -v "$PWD/out:/out" stableft ablation-adam RESULTS=/out/results FIGURES=/out/figures`.
ENTRYPOINT ["make"]
CMD ["smoke"]
