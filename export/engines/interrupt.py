"""Ctrl-C while TensorRT works: TensorRT would discard an exception raised inside one of its callbacks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Delay Ctrl-C and SIGTERM while the block runs, and raise KeyboardInterrupt after it.

    Yields a function that returns whether a signal came. Signals that this process ignores, or that end it at once, are
    not changed; outside of the main thread, where Python runs no handlers, none is.
    """
    came = False

    def note(*signal_and_frame: object) -> None:
        nonlocal came
        came = True

    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in SIGNALS if main}
    replaced = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in replaced:
            signal.signal(number, note)
        yield lambda: came
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
