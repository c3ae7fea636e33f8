"""The state of boards from files as their kernels have them."""

from pathlib import Path

import pytest
from masklet.runtime.machine.board import board
from masklet.runtime.machine.host import Host
from masklet.runtime.streams.board_metrics import board_metrics

ORIN = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "52312\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "3\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "2\n",
    "sys/class/thermal/cooling_device2/type": "17000000.gpu\n",
    "sys/class/thermal/cooling_device2/cur_state": "0\n",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon1/in1_input": "5000\n",
    "sys/class/hwmon/hwmon1/curr1_input": "1086\n",
    "sys/class/hwmon/hwmon1/in7_label": "Sum of shunt voltages\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "17\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000\n",
    "sys/class/devfreq/17000000.gpu/device/load": "970\n",
    "var/lib/nvpmodel/status": "pmode:0000\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n",
    "proc/meminfo": "MemTotal: 7802980 kB\nMemFree: 1 kB\nMemAvailable: 4802980 kB\nHugePages_Total: 0\n",
}


def played(root: Path, files: dict[str, str]) -> Host:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Host(root)


def test_an_orin(tmp_path: Path) -> None:
    state = board(played(tmp_path, ORIN))
    assert state.temperatures_c == {"cpu-thermal": 52.312}
    assert state.watts == {"VDD_IN": pytest.approx(5.43)}
    assert state.clocks_hz == {"cpu0": 1_510_400_000, "gpu": 624_750_000}
    assert state.gpu_load == 0.97
    assert state.memory_bytes == {"used": 3_000_000 * 1024, "total": 7_802_980 * 1024}
    assert state.throttled_by == ("cpufreq-cpu0",)
    assert state.overcurrents == {"oc1": 0, "oc3": 17}
    assert state.power_mode == "15W"


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    state = board(played(tmp_path, {}))
    assert (state.temperatures_c, state.watts, state.clocks_hz, state.gpu_load) == ({}, {}, {}, None)
    assert (state.memory_bytes, state.throttled_by, state.overcurrents) == ({}, (), {})
    assert state.power_mode is None


def test_this_machine_has_memory() -> None:
    assert 0 < board().memory_bytes["used"] < board().memory_bytes["total"]


def test_prometheus_gets_a_sample_for_each_figure(tmp_path: Path) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()

    class Collector:
        def collect(self) -> object:
            return board_metrics(board(played(tmp_path, ORIN)))

    registry.register(Collector())
    text = prometheus.generate_latest(registry).decode()
    assert 'masklet_board_temperature_celsius{sensor="cpu-thermal"} 52.312' in text
    assert 'masklet_board_throttled{by="cpufreq-cpu0"} 1.0' in text
    assert "masklet_board_gpu_load_ratio 0.97" in text
    assert 'masklet_board_power_mode{mode="15W"} 1.0' in text
    assert 'masklet_board_overcurrents_total{limit="oc3"} 17.0' in text
    assert 'masklet_board_memory_bytes{kind="used"}' in text
