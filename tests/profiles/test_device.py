"""A fingerprint of any machine: this one, a Jetson and a GPU server that are played, and one that says nothing."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from masklet.profiles.machine.device import Gpu, conditions, device
from masklet.runtime.machine.host import Host, as_number

SMI_IS = "NVIDIA H100 80GB HBM3, 550.54.15, 81559, 700.00"
SMI_NOW = "1980, 31, 68.75, 87, 40213, 0x0000000000000045"
TEGRASTATS = (
    "11-22-2026 13:05:01 RAM 2448/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB) CPU [3%@729,0%@729] GR3D_FREQ 0% "
    "cpu@44.5C soc2@43.812C tj@45.1C VDD_IN 4567mW/4500mW VDD_CPU_GPU_CV 512mW/500mW"
)


class Played(Host):
    """A machine of written files and given answers."""

    def __init__(self, root: Path, files: dict[str, str], answers: dict[str, str]) -> None:
        super().__init__(root)
        self.answers = answers
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def says(self, command: Sequence[str], lines: int | None = None) -> str | None:
        return next((text for start, text in self.answers.items() if " ".join(command).startswith(start)), None)


def test_a_jetson(tmp_path: Path) -> None:
    freq = "sys/devices/system/cpu/cpu0/cpufreq"
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "proc/meminfo": "MemTotal:        7802980 kB\nMemFree: 1 kB\n",
        "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 62.50\n",
        "proc/loadavg": "0.52 0.58 0.59 1/467 12345\n",
        f"{freq}/cpuinfo_max_freq": "1510400\n",
        f"{freq}/scaling_cur_freq": "729600\n",
        f"{freq}/scaling_governor": "schedutil\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "44562\n",
        "sys/class/thermal/thermal_zone1/temp": "nonsense\n",
    }
    answers = {
        "lscpu": "Architecture: aarch64\nModel name: Cortex-A78AE\n",
        "nvpmodel": "NV Power Mode: 15W\n0",
        "tegrastats": TEGRASTATS,
    }
    host = Played(tmp_path, files, answers)
    found, now = device(host), conditions(host)
    assert (found.board, found.cpu) == ("NVIDIA Jetson Orin Nano Developer Kit", "Cortex-A78AE")
    assert (found.power_mode, found.governor) == ("15W", "schedutil")
    assert (found.cpu_max_mhz, found.memory_mb) == (1510.4, 7802.98)
    assert now.cpu_mhz == 729.6
    assert now.load_average == (0.52, 0.58, 0.59)
    assert now.temperatures_c == {"cpu-thermal": 44.562, "cpu": 44.5, "soc2": 43.812, "tj": 45.1}
    assert now.watts == {"VDD_IN": 4.567, "VDD_CPU_GPU_CV": 0.512}
    assert (now.gpu_load, now.ram_used_mb, now.throttled_by) == (0.0, 2448, ())


def test_a_gpu_server(tmp_path: Path) -> None:
    host = Played(tmp_path, {}, {"nvidia-smi --query-gpu=name": SMI_IS, "nvidia-smi --query-gpu=clocks": SMI_NOW})
    assert device(host).gpus == (Gpu("NVIDIA H100 80GB HBM3", "550.54.15", 81559.0, 700.0),)
    now = conditions(host)
    assert (now.gpu_mhz, now.temperatures_c, now.watts) == (1980.0, {"gpu": 31.0}, {"gpu": 68.75})
    assert (now.gpu_load, now.gpu_memory_used_mb) == (0.87, 40213)
    assert now.throttled_by == ("GPU power cap", "GPU hardware thermal slowdown")


def test_a_gpu_that_does_not_say_its_power(tmp_path: Path) -> None:
    answers = {"nvidia-smi --query-gpu=name": "Orin (nvgpu), N/A, [N/A], [N/A]", "nvidia-smi --query-gpu=cl": "[N/A]"}
    host = Played(tmp_path, {}, answers)
    assert device(host).gpus == (Gpu("Orin (nvgpu)", "N/A", None, None),)
    assert conditions(host).watts == {}


def test_a_jetson_in_a_container_without_tools(tmp_path: Path) -> None:
    """What sysfs says alone, with nvpmodel's files mounted."""
    files = {
        "var/lib/nvpmodel/status": "pmode:0001\n",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n",
        "proc/meminfo": "MemTotal: 7802980 kB\nMemAvailable: 4802980 kB\n",
        "sys/class/devfreq/17000000.gpu/cur_freq": "624750000\n",
        "sys/class/devfreq/17000000.gpu/device/load": "970\n",
        "sys/class/hwmon/hwmon2/oc3_event_cnt": "17\n",
        "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
        "sys/class/thermal/cooling_device0/cur_state": "3\n",
    }
    host = Played(tmp_path, files, {})
    now = conditions(host)
    assert device(host).power_mode == "7W"
    assert (now.gpu_mhz, now.gpu_load, now.ram_used_mb) == (624.75, 0.97, 3_000_000 / 1024)
    assert (now.throttled_by, now.overcurrents) == (("cpufreq-cpu0",), {"oc3": 17})


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    host = Played(tmp_path, {}, {})
    found, now = device(host), conditions(host)
    assert (found.memory_mb, found.gpus, found.power_mode, found.board) == (None, (), None, None)
    assert (now.load_average, now.cpu_mhz, now.watts) == (None, None, {})


def test_this_machine() -> None:
    found = msgspec.to_builtins(device())
    assert found["cores"] >= 1
    assert {"masklet", "numpy"} <= set(found["libraries"])
    assert found["python"] == sys.version.split()[0]
    msgspec.json.encode(conditions())


def test_commands_that_are_missing_fail_or_never_end_are_no_errors() -> None:
    host = Host()
    assert host.says(["no-such-command-anywhere"]) is None
    assert host.says(["false"]) is None
    assert host.says(["yes", "4 W"], lines=1) == "4 W"
    assert host.says(["echo", "here"]) == "here"


def test_numbers() -> None:
    assert [as_number(text) for text in ("12.5", "[N/A]", "", None, "nan", "inf")] == [12.5, *[None] * 5]
