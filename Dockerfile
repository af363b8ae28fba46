# One image for every process: the command chooses. docker build -t payment-service .
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
# What builds the wheel is pinned, too: hatchling and what it needs, out of the larger lock.
RUN awk '/^[a-z]/ {on = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/} on' requirements-dev.lock > build.lock && \
    pip install --no-cache-dir --require-hashes -r build.lock && \
    pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . && \
    /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl && /venv/bin/pip uninstall -y pip

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home payments
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PAYMENTS_HOST=0.0.0.0 PAYMENTS_OPS_HOST=0.0.0.0
USER 10001
EXPOSE 8000 9000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9000/livez', timeout=2)"]
ENTRYPOINT ["payment-service"]
CMD ["api"]
