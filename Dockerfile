# sonde in a container: `docker build -t sonde .`
FROM python:3.11-slim AS build
COPY requirements/run.lock /build/requirements/
RUN python -m venv /opt/sonde \
 && /opt/sonde/bin/pip install --no-cache-dir --no-deps --require-hashes -r /build/requirements/run.lock
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
RUN /opt/sonde/bin/pip install --no-cache-dir --no-deps --no-build-isolation /build

FROM python:3.11-slim
# Configuration repositories are read with git's own commands.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 sonde \
 && install -d -o sonde /project
COPY --from=build /opt/sonde /opt/sonde
# Workers are processes: one thread each, or they would fight over the cores.
ENV PATH=/opt/sonde/bin:$PATH OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER sonde
WORKDIR /project
ENTRYPOINT ["sonde"]
CMD ["--help"]
