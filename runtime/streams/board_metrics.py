"""The board's state as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from masklet.runtime.machine.board import Board

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def board_metrics(state: Board) -> list[Metric]:
    """One gauge for each kind of figure, without samples for what the board does not state."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
        family = GaugeMetricFamily(f"masklet_board_{name}", text, labels=[label] if label else None)
        for key, value in values.items():
            family.add_metric([key] if label else [], value)
        return family

    over = CounterMetricFamily("masklet_board_overcurrents", "Over-current events since the start.", labels=["limit"])
    for limit, count in state.overcurrents.items():
        over.add_metric([limit], count)
    mode = {} if state.power_mode is None else {state.power_mode: 1.0}
    load = {} if state.gpu_load is None else {"": state.gpu_load}
    return [
        gauge("temperature_celsius", "Temperature by sensor.", "sensor", state.temperatures_c),
        gauge("power_watts", "Power by rail.", "rail", state.watts),
        gauge("clock_hertz", "Clock by unit.", "unit", state.clocks_hz),
        gauge("gpu_load_ratio", "Load of the GPU, 0 to 1.", "", load),
        gauge("memory_bytes", "Memory of the board.", "kind", state.memory_bytes),
        gauge("throttled", "1 while a cooling device reduces clocks.", "by", dict.fromkeys(state.throttled_by, 1.0)),
        gauge("power_mode", "1 for the power mode of the board.", "mode", mode),
        over,
    ]
