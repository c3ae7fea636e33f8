"""The endpoints /metrics for Prometheus and /healthz for supervisors; prometheus_client is loaded if it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from masklet.runtime.closing import Closing
from masklet.runtime.errors import MaskletError
from masklet.runtime.machine.board import board
from masklet.runtime.sources.password import hide_password
from masklet.runtime.streams.board_metrics import board_metrics
from masklet.runtime.streams.http_server import HttpServer, StartResponse
from masklet.runtime.streams.stream import Stream

if TYPE_CHECKING:
    from prometheus_client.core import Metric

HOST = "127.0.0.1"  # other machines get access only if the user names an address
BUCKETS_S = (0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def parse_address(text: str) -> tuple[str, int]:
    """Parse [HOST:]PORT; without a host, only this machine has access. Raises MaskletError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise MaskletError(f"--metrics {text}: expected [HOST:]PORT, such as 9464 or 0.0.0.0:9464")
    return host.strip("[]") or HOST, int(port)


class Metrics(Closing):
    """Serves the metrics of streams until it is closed. url: address of the endpoint. port: 0 for any free port."""

    def __init__(self, host: str, port: int) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise MaskletError("--metrics needs prometheus_client; pip install 'masklet[feeds]'") from None
        registry = prometheus.CollectorRegistry()
        self._streams: Sequence[Stream] = ()
        registry.register(self)
        prometheus.ProcessCollector(registry=registry)
        self._latency = prometheus.Histogram(
            "masklet_latency_seconds",
            "Time from the arrival of a frame until its masks are written.",
            ["stream"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._step = prometheus.Gauge(
            "masklet_budget_step",
            "Settings that a stream took to keep its budget: 0 for the most accurate ones.",
            ["stream"],
            registry=registry,
        )
        self._silence_s = float("inf")
        pages = {"/metrics": prometheus.make_wsgi_app(registry), "/healthz": self._health}
        try:
            self._server = HttpServer(host, port, pages)
        except OSError as error:
            raise MaskletError(f"--metrics {host}:{port}: cannot listen on this address: {error.strerror}") from None
        self.url = f"http://{host}:{self._server.port}/metrics"

    def watch(self, streams: Sequence[Stream], silence_s: float) -> None:
        """Serve the metrics of these streams from now on. silence_s: /healthz fails after so long without a frame."""
        self._streams, self._silence_s = streams, silence_s

    def _health(self, environment: dict[str, Any], start: StartResponse) -> list[bytes]:
        """200 while every stream has frames, 503 with the reasons otherwise."""
        faults = [f"{one.number} {one.name}: {one.error}" for one in self._streams if one.error is not None]
        faults += [
            f"{one.number} {one.name}: no frame for {one.silent_s:.0f} s"
            for one in self._streams
            if one.error is None and one.silent_s > self._silence_s
        ]
        start("503 Service Unavailable" if faults else "200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return ["\n".join([*map(hide_password, faults), ""] if faults else ["ok", ""]).encode()]

    def written(self, stream: int, latency_s: float) -> None:
        """Record the latency of a frame."""
        self._latency.labels(str(stream)).observe(latency_s)

    def stepped(self, stream: int, step: int) -> None:
        """Record the settings that a stream takes to keep its budget, counted from the most accurate ones."""
        self._step.labels(str(stream)).set(step)

    def collect(self) -> Iterable[Metric]:
        """The current values; prometheus_client calls this on each scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        label = ["stream", "source"]
        frames = CounterMetricFamily("masklet_frames", "Frames by outcome.", labels=[*label, "outcome"])
        reconnects = CounterMetricFamily("masklet_reconnects", "Reconnections to a lost source.", labels=label)
        objects = GaugeMetricFamily("masklet_objects", "Tracked objects.", labels=label)
        visible = GaugeMetricFamily("masklet_visible_objects", "Objects visible in the latest result.", labels=label)
        silent = GaugeMetricFamily("masklet_silent_seconds", "Seconds since the latest frame.", labels=label)
        up = GaugeMetricFamily("masklet_up", "1 while the stream runs, 0 after it has failed.", labels=label)
        for stream in self._streams:
            names, counts = [str(stream.number), stream.name], stream.counts
            for outcome in ("captured", "processed", "dropped", "corrupt"):
                frames.add_metric([*names, outcome], getattr(counts, outcome))
            reconnects.add_metric(names, counts.reconnects)
            objects.add_metric(names, stream.objects)
            visible.add_metric(names, stream.sightings.visible)
            silent.add_metric(names, stream.silent_s)
            up.add_metric(names, float(stream.error is None))
        return [frames, reconnects, objects, visible, silent, up, *board_metrics(board())]

    def close(self) -> None:
        self._server.close()
