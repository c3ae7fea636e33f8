"""Several training processes of one thread each that share their gradients.

On a busy machine two OpenMP threads wait for each other at every operation and a step takes ten times as
long; two processes meet once a step. They hold the same weights and draw different batches.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import torch
import torch.multiprocessing as processes
from torch import Tensor

_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Worker:
    """This process's place among `size`: rank 0 logs and saves. board: [size, parameters + 1], shared."""

    rank: int = 0
    size: int = 1
    board: Tensor | None = None
    barrier: Barrier | None = None

    def share(self, parameters: Iterable[Tensor], figure: float) -> float:
        """Replace gradients by their mean over all workers; return the mean of a figure.

        A parameter whose gradient is zero everywhere keeps none, so that the optimizer leaves it alone.
        """
        if self.board is None or self.barrier is None:
            return figure
        listed, row = list(parameters), self.board[self.rank]
        start = 0
        for parameter in listed:
            span = row[start : start + parameter.numel()]
            if parameter.grad is None:
                span.zero_()
            else:
                span.copy_(parameter.grad.reshape(-1))
            start += parameter.numel()
        row[start] = figure
        self.barrier.wait()
        mean = self.board[:, : start + 1].mean(dim=0)
        self.barrier.wait()
        start = 0
        for parameter in listed:
            span = mean[start : start + parameter.numel()]
            parameter.grad = span.view_as(parameter) if bool(span.any()) else None
            start += parameter.numel()
        return float(mean[start])


def _watch(parent: int) -> None:
    """End this process when its parent is gone: it would wait for it for ever."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


def _member(rank: int, parent: int, shared: tuple[int, Tensor, Barrier], job: Callable[[Worker], None]) -> None:
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    size, board, barrier = shared
    try:
        job(Worker(rank, size, board, barrier))
    finally:
        barrier.abort()


def together(size: int, parameters: int, job: Callable[[Worker], None]) -> None:
    """Run a job in `size` processes, this one included; it must be picklable.

    parameters: an upper bound of the number of values shared in a step.
    """
    if size == 1:
        job(Worker())
        return
    context = processes.get_context("spawn")
    board = torch.zeros(size, parameters + 1).share_memory_()  # type: ignore[no-untyped-call]
    barrier = context.Barrier(size)
    shared = (size, board, barrier)
    others = [
        context.Process(target=_member, args=(rank, os.getpid(), shared, job), daemon=True) for rank in range(1, size)
    ]
    for other in others:
        other.start()
    try:
        job(Worker(0, size, board, barrier))
    finally:
        for other in others:
            other.join(timeout=60)
