FROM python:3.13-slim

COPY . /src
RUN pip install --no-cache-dir --constraint /src/requirements.lock /src/sdk '/src[postgresql]' && rm -r /src \
 && useradd --system --create-home --home-dir /var/lib/fallom fallom \
 && install --directory --owner fallom /var/cache/fallom

USER fallom
# Compiled for the processor that builds the image; on another kind the first start compiles once more.
ENV NUMBA_CACHE_DIR=/var/cache/fallom FALLOM_DATA_DIR=/var/lib/fallom
WORKDIR /var/lib/fallom
RUN python -m server.warm_up

VOLUME /var/lib/fallom
EXPOSE 4317 4318
# On SIGTERM it drains; give it the time (docker stop --time 60).
ENTRYPOINT ["fallom-server"]
CMD ["serve", "--http", "0.0.0.0:4318", "--grpc", "0.0.0.0:4317"]
HEALTHCHECK --interval=10s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:4318/readyz')"]
