"""The thread that has an annotation: it does what is asked for, and tracks in between."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.closing import Closing
from masklet.runtime.errors import MaskletError

STOP_S = 20.0  # how long the frame that is being tracked is waited for at the end


class ReplacedError(MaskletError):
    """A long work was stopped, or another one took its place."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a long work. frame: index of the frame it is at, None at its beginning; done: frames so far."""

    what: str
    total: int
    frame: int | None = None
    done: int = 0
    frames_per_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Work:
    steps: Iterator[int]
    answer: "Future[None]"
    progress: Progress
    began_s: float


class AnnotationWorker(Closing):
    """Does short things at once, between two frames, and one long work at a time.

    progress: of the long work, None without one. begun: how many there were. reached: index of the
    frame that one was at last.
    """

    def __init__(self, annotation: Annotation) -> None:
        self._annotation = annotation
        self._asked: deque[tuple[Callable[[Annotation], Any], Future[Any]]] = deque()
        self._work: _Work | None = None
        self._changed = Condition()
        self._over = False
        self.reached: int | None = None
        self.begun = 0
        self._thread = Thread(target=self._run, name="annotation", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> Progress | None:
        work = self._work
        return None if work is None else work.progress

    def do(self, ask: Callable[[Annotation], Any]) -> "Future[Any]":
        """Have something short done with the annotation; the future has what it returns, or raises."""
        answer: Future[Any] = Future()
        with self._changed:
            self._asked.append((ask, answer))
            self._changed.notify()
        return answer

    def begin(self, what: str, steps: Callable[[Annotation], Iterator[int]], total: int) -> "Future[None]":
        """Begin a long work, in place of the one that is being done, which ends with ReplacedError.

        what: in words; steps: yields each frame; total: how many there may be. Call it from within `do`.
        """
        self.stop()
        self.begun += 1
        answer: Future[None] = Future()
        self._work = _Work(steps(self._annotation), answer, Progress(what, total), time.perf_counter())
        return answer

    def stop(self) -> None:
        """Stop the long work; what it has found stays. Call it from within `do`."""
        work, self._work = self._work, None
        if work is not None:
            work.answer.set_exception(ReplacedError(f"{work.progress.what} was stopped"))

    def close(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._over:
            with self._changed:
                while not (self._asked or self._work or self._over):
                    self._changed.wait()
                asked = self._asked.popleft() if self._asked else None
            if asked is not None:
                self._answer(*asked)
            elif self._work is not None:
                self._step(self._work)
        self.stop()

    def _answer(self, ask: Callable[[Annotation], Any], answer: "Future[Any]") -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(ask(self._annotation))
        except Exception as error:  # the caller gets it; the thread goes on
            answer.set_exception(error)

    def _step(self, work: _Work) -> None:
        try:
            frame = next(work.steps, None)
        except Exception as error:
            self._work = None
            work.answer.set_exception(error)
            return
        if frame is None:
            self._work = None
            work.answer.set_result(None)
            return
        self.reached = frame
        done = work.progress.done + 1
        rate = done / max(time.perf_counter() - work.began_s, 1e-9)
        work.progress = Progress(work.progress.what, work.progress.total, frame, done, round(rate, 2))
