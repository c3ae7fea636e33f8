# masklet on a Jetson with JetPack 6: Python 3.10, TensorRT 10.3. From the root of the repository, on the device:
#   docker build -f docker/jetpack6.Dockerfile -t masklet:jetpack6 .
#   docker run --runtime nvidia -v /tmp/argus_socket:/tmp/argus_socket -v "$PWD:/data" masklet:jetpack6 \
#       run half.bundle csi://0 --backend tensorrt --box 1:480,200,700,520 --masks m.jsonl
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-venv python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
        gstreamer1.0-libav nvidia-l4t-gstreamer && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 1000 --groups video --create-home masklet && install -d -o masklet /data && \
    python3 -m venv --system-site-packages /opt/masklet
COPY pyproject.toml README.md LICENSE /source/
COPY runtime /source/runtime
COPY export /source/export
COPY calibration /source/calibration
COPY profiles /source/profiles
RUN /opt/masklet/bin/pip install --no-cache-dir "/source[cpu,tensorrt,feeds,view,bags]" "cuda-bindings<13" && rm -rf /source
ENV PATH=/opt/masklet/bin:$PATH XDG_CACHE_HOME=/tmp/cache GST_REGISTRY=/tmp/gstreamer.registry
USER 1000
WORKDIR /data
EXPOSE 9464
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/healthz', timeout=5)"]
ENTRYPOINT ["masklet"]
CMD ["doctor"]
