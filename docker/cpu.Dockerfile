# masklet on a CPU, by ONNX Runtime. From the root of the repository:
#   docker build -f docker/cpu.Dockerfile -t masklet:cpu .
#   docker run --read-only --tmpfs /tmp -v "$PWD:/data" masklet:cpu run tiny.bundle drive.mp4 --point 480,270 --masks m.jsonl
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/masklet
COPY pyproject.toml README.md LICENSE constraints.txt /source/
COPY runtime /source/runtime
COPY export /source/export
COPY calibration /source/calibration
COPY profiles /source/profiles
RUN /opt/masklet/bin/pip install --no-cache-dir -c /source/constraints.txt "/source[cpu,feeds,view,bags,text]"

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3 python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad gstreamer1.0-libav && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 1000 --groups video --create-home masklet && install -d -o masklet /data
COPY --from=build /opt/masklet /opt/masklet
ENV PATH=/opt/masklet/bin:$PATH XDG_CACHE_HOME=/tmp/cache GST_REGISTRY=/tmp/gstreamer.registry
USER 1000
WORKDIR /data
EXPOSE 9464
# Healthy while every stream has frames; needs --metrics 0.0.0.0:9464.
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/healthz', timeout=5)"]
ENTRYPOINT ["masklet"]
CMD ["doctor"]
