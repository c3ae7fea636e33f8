"""The conditions of the machine over a run, read beside it."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec
from masklet.profiles.machine import nvidia_smi
from masklet.profiles.machine.device import Conditions, read_conditions
from masklet.runtime.closing import Closing
from masklet.runtime.machine.host import Host

PAUSE_S = 1.0
MOST = 512  # samples of a run, however long it is
TEGRASTATS = ("tegrastats", "--interval", "1000")


class Sample(Conditions, frozen=True, kw_only=True):
    """Conditions at a time. time_s: seconds since the run began."""

    time_s: float


class Sampler(Closing):
    """Reads the conditions once a second until it is closed: files of the kernel, in a thread of its own.

    What a Jetson says by tegrastats only, or another GPU by nvidia-smi, comes from one process that runs as long. When
    there are MOST samples, every second one is dropped and the pause doubles, so that they cover the whole run.

    host, clock (nanoseconds), pause_s: injected by tests.
    """

    def __init__(
        self,
        host: Host | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._host, self._clock, self._pause_s = host or Host(), clock, pause_s
        self._taken: list[Sample] = []
        self._ended = threading.Event()
        self._opened = ExitStack()
        self._tegrastats = self._host.follow(TEGRASTATS)
        self._smi = None if self._tegrastats else self._host.follow(nvidia_smi.EVERY_SECOND)
        for monitor in filter(None, (self._tegrastats, self._smi)):
            self._opened.callback(monitor.close)
        self.began_ns = clock()

    @property
    def samples(self) -> Sequence[Sample]:
        """In order of time."""
        return self._taken

    def start(self) -> "Sampler":
        """Take samples from now on; returns itself."""
        thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._opened.callback(thread.join)
        thread.start()
        return self

    def take(self) -> None:
        """Take one sample."""
        tegrastats = self._tegrastats.latest() if self._tegrastats else None
        smi = self._smi.latest() if self._smi else None
        found = read_conditions(self._host, smi, tegrastats)
        time_s = (self._clock() - self.began_ns) / 1e9
        self._taken.append(Sample(**msgspec.structs.asdict(found), time_s=time_s))
        if len(self._taken) == MOST:
            self._taken = self._taken[::2]
            self._pause_s *= 2

    def close(self) -> None:
        self._ended.set()
        self._opened.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self.take()
            self._ended.wait(self._pause_s)
