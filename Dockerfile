# A server of a trained adapter: docker build -t dep . && docker run -e DEP_SERVE_KEY=… -v "$PWD/runs:/data/runs" dep runs/demo
# Only a Python package index is needed; give another one as --build-arg PIP_INDEX_URL=…
FROM python:3.12-slim AS build
ARG PIP_INDEX_URL=
ARG TORCH_INDEX_URL=
WORKDIR /src
RUN python -m venv /opt/dep
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY dep dep
COPY conf conf
RUN set -e; \
    if [ -z "$PIP_INDEX_URL" ]; then unset PIP_INDEX_URL; fi; \
    if [ -n "$TORCH_INDEX_URL" ]; then \
        /opt/dep/bin/pip install --no-cache-dir -c constraints.txt --index-url "$TORCH_INDEX_URL" torch; \
    fi; \
    /opt/dep/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

FROM python:3.12-slim
COPY --from=build /opt/dep /opt/dep
RUN useradd --create-home --home-dir /data --uid 10001 dep
ENV PATH=/opt/dep/bin:$PATH HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
USER dep
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# The whole network of a container is its own loopback, hence 0.0.0.0, which asks for a key.
ENTRYPOINT ["dep", "serve", "host=0.0.0.0"]
