# One image for every process: the command chooses. docker build -t payment-service ., or make image.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
# What changes least comes first. Wheels only: no stranger's code runs to set itself up.
COPY requirements.lock ./
RUN python -m venv --without-pip /venv && \
    pip --python /venv/bin/python install --no-cache-dir --no-compile --only-binary=:all: \
        --require-hashes -r requirements.lock
# What builds our wheel is pinned, too: hatchling and what it needs, out of the larger lock.
COPY requirements-dev.lock ./
RUN awk '/^[a-z]/ {on = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} on' requirements-dev.lock > build.lock && \
    python -m venv --without-pip /tools && \
    pip --python /tools/bin/python install --no-cache-dir --only-binary=:all: --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY generated generated
COPY migrations migrations
COPY src src
# Compiled once and by content: the root is read-only, and not every registry keeps times.
RUN pip --python /tools/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheels . && \
    pip --python /venv/bin/python install --no-compile --no-deps --no-index /wheels/*.whl && \
    find /venv -type d -name tests -prune -exec rm -r {} + && \
    /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv

FROM python:3.11-slim-bookworm
# Nothing runs here: what is copied and what is said is all there is.
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PAYMENTS_HOST=0.0.0.0 PAYMENTS_OPS_HOST=0.0.0.0 PAYMENTS_OPS_PORT=9000
USER 10001:10001
EXPOSE 8000 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-IS", "-c", "import http.client, os; ops = http.client.HTTPConnection('127.0.0.1', int(os.environ['PAYMENTS_OPS_PORT']), timeout=2); ops.request('GET', '/livez'); raise SystemExit(ops.getresponse().status != 200)"]
ENTRYPOINT ["payment-service"]
CMD ["api"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="payment-service" \
      org.opencontainers.image.description="Contract-first payment service: api, relay, consumer, scheduler, migrate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
