"""The conditions over a run, of boards and servers that are played, and what a report says of them."""

import io
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from masklet.profiles.machine import sampler as sampling
from masklet.profiles.machine.sampler import Sample, Sampler
from masklet.profiles.report.compare import differences
from masklet.profiles.report.over_time import curves, over_time, throttling
from masklet.profiles.report.page import page
from masklet.profiles.report.report import Report
from masklet.profiles.report.terminal import show
from masklet.profiles.report.verdict import doubts
from masklet.runtime.machine.host import Host, Monitor
from recorded import Clock, report, times
from rich.console import Console
from tegrastats_lines import AGX_ORIN, NANO_JETPACK_4, ORIN_NANO, THOR, THOR_JETPACK_7_0, XAVIER_JETPACK_5

COOLING = "sys/class/thermal/cooling_device0"
SMI = ["1980, 61, 402.5, 97, 40213, 0x0000000000000001", "1200, 88, 350.0, 99, 40213, 0x0000000000000020"]


class Script(Monitor):
    """Lines that are said one after the other, then the last one again and again."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines, self.closed = list(lines), 0

    def latest(self) -> str | None:
        return self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]

    def close(self) -> None:
        self.closed += 1


class Board(Host):
    """A machine of files that a test writes, with one command that prints."""

    def __init__(self, root: Path, command: str = "", lines: Sequence[str] = ()) -> None:
        super().__init__(root)
        self._root, self._command, self.script = root, command, Script(lines)
        self.started: list[str] = []

    def write(self, name: str, text: str) -> None:
        (self._root / name).parent.mkdir(parents=True, exist_ok=True)
        (self._root / name).write_text(text)

    def follow(self, command: Sequence[str]) -> Monitor | None:
        self.started.append(command[0])
        return self.script if command[0] == self._command else None


def taken(host: Board, seconds: int, clock: Clock | None = None) -> Sequence[Sample]:
    """Samples of so many seconds, without a thread."""
    clock = clock or Clock()
    with Sampler(host, clock) as sampler:
        for _ in range(seconds):
            sampler.take()
            clock.pass_ms(1000)
    return sampler.samples


@pytest.mark.parametrize(
    ("line", "gpu_mhz", "gpu_load", "ram", "hottest", "strongest"),
    [
        (ORIN_NANO, 624, 0.97, 2837, "tj", "VDD_IN"),
        (AGX_ORIN, 305, 0.41, 9000, "cpu", "VDD_GPU_SOC"),
        (THOR, 1575, 0, 4400, "tj", "VIN"),
        (THOR_JETPACK_7_0, 314, None, 9000, "tj", "VIN"),
        (XAVIER_JETPACK_5, 318, 0.07, 2546, "PMIC", "SYS5V"),
        (NANO_JETPACK_4, 921, 0.99, 1234, "AO", "POM_5V_IN"),
    ],
)
def test_boards_by_one_tegrastats(
    tmp_path: Path, line: str, gpu_mhz: float, gpu_load: float | None, ram: float, hottest: str, strongest: str
) -> None:
    host = Board(tmp_path, "tegrastats", [line])
    samples = taken(host, 3)
    assert [one.time_s for one in samples] == [0, 1, 2]
    assert {(one.gpu_mhz, one.gpu_load, one.ram_used_mb) for one in samples} == {(gpu_mhz, gpu_load, ram)}
    by_kind = {one.what: one for one in curves(samples)}
    assert by_kind["temperature"].of in (hottest, "tj")
    assert by_kind["power"].of == strongest
    assert host.started == ["tegrastats"]
    assert host.script.closed == 1


def test_a_gpu_server_by_one_nvidia_smi(tmp_path: Path) -> None:
    host = Board(tmp_path, "nvidia-smi", SMI)
    first, second = taken(host, 2)
    assert (first.gpu_mhz, first.gpu_load, first.throttled_by) == (1980, 0.97, ())
    assert (second.temperatures_c, second.watts) == ({"gpu": 88}, {"gpu": 350})
    assert second.throttled_by == ("GPU software thermal slowdown",)
    assert host.started == ["tegrastats", "nvidia-smi"]


def test_a_machine_with_neither(tmp_path: Path) -> None:
    host = Board(tmp_path)
    host.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000")
    assert over_time(taken(host, 3)) == "over the run: CPU 1500 MHz"
    assert over_time(taken(Board(tmp_path / "bare"), 3)) is None


def test_samples_of_a_long_run_stay_few_and_cover_it(tmp_path: Path) -> None:
    clock = Clock()
    samples = taken(Board(tmp_path), 3 * sampling.MOST, clock)
    assert sampling.MOST // 2 <= len(samples) < sampling.MOST
    assert samples[0].time_s == 0
    assert samples[-1].time_s == pytest.approx(clock.ns / 1e9, abs=2)


def test_the_thread_takes_samples_beside_the_run_and_ends_with_it(tmp_path: Path) -> None:
    with Sampler(Board(tmp_path), pause_s=0.001).start() as sampler:
        for _ in range(500):
            if len(sampler.samples) > 3:
                break
            time.sleep(0.01)
    count = len(sampler.samples)
    assert count > 3
    time.sleep(0.05)
    assert len(sampler.samples) == count


def test_the_process_ends_even_if_the_run_fails() -> None:
    class Talkative(Host):
        def follow(self, command: Sequence[str]) -> Monitor | None:
            return super().follow(["sh", "-c", "echo $$; exec sleep 60"])

    pids: list[int] = []

    def fail() -> None:
        with Sampler(Talkative()).start() as sampler:
            while not (line := sampler._tegrastats and sampler._tegrastats.latest()):
                time.sleep(0.01)
            pids.append(int(line))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def hot(seconds: int, since: int) -> Report:
    """A run of a frame a second, whose CPU is slowed from a time on."""
    samples = [
        Sample(
            load_average=None,
            cpu_mhz=1510.0 if n < since else 729.0,
            gpu_mhz=None,
            temperatures_c={"cpu": 50.0 + n, "board": 30.0},
            watts={"VDD_IN": 5.0},
            throttled_by=() if n < since else ("cpufreq-cpu0",),
            time_s=float(n),
        )
        for n in range(seconds)
    ]
    made = report([times(n, (40 if n < since else 90, 30, 5, 4)) for n in range(seconds)], peaks=False)
    return msgspec.structs.replace(made, device=msgspec.structs.replace(made.device, during=tuple(samples)))


def test_throttling_in_the_middle_is_named_with_its_cost() -> None:
    found = throttling(hot(20, 12).device.during)
    assert found is not None
    assert (found.began_s, found.seconds, found.by) == (12, 8, ("cpufreq-cpu0",))
    assert list(doubts(hot(20, 12))) == [
        "throttling began 12 s into the run, by cpufreq-cpu0: 95.0 ms per frame before it, 145.0 since"
    ]
    assert list(doubts(hot(20, 0))) == ["throttling began before the first measured frame, by cpufreq-cpu0"]
    assert list(doubts(hot(20, 99))) == []


def test_over_currents_in_the_run_are_named() -> None:
    made = hot(5, 99)
    after = msgspec.structs.replace(made.device.after, overcurrents={"oc1": 0.0, "oc3": 17.0})
    device = msgspec.structs.replace(made.device, after=after)
    (line,) = doubts(msgspec.structs.replace(made, device=device))
    assert line == "the board reduced clocks 17 times during the run because of too much current (oc3)"


def test_the_terminal_and_the_page_show_the_run() -> None:
    out = io.StringIO()
    show(hot(20, 12), Console(file=out, width=130))
    line = next(line for line in out.getvalue().split("\n") if line.startswith("over the run"))
    assert line == (
        "over the run: CPU 1510 MHz (729 to 1510), cpu 59.5 °C (50 to 69), VDD_IN 5 W, throttled 8 s by cpufreq-cpu0"
    )
    text = page(hot(20, 12))
    section = text[text.index("The machine over the run") :]
    assert section[: section.index("</section>")].count("<svg") == 3
    assert "throttled 8 s by cpufreq-cpu0</title>" in section
    assert "The machine over the run" not in page(report([times(0)]))


def test_a_comparison_names_the_machines_that_differ() -> None:
    cool, warm = hot(20, 99), hot(20, 5)
    named = list(differences(cool, warm))
    assert "run CPU clock: A CPU 1510 MHz, B CPU 729 MHz (729 to 1510)" in named
    assert "run throttling: A none, B throttled 15 s by cpufreq-cpu0" in named
    assert len(named) == 2
    assert list(differences(cool, cool)) == []


def test_a_report_keeps_its_samples() -> None:
    made = hot(3, 1)
    read = msgspec.json.decode(msgspec.json.encode(made), type=Report)
    assert read.device.during == made.device.during
    assert read.series.times_s == [0, 1, 2]
    assert all(math.isfinite(one.time_s) for one in read.device.during)
