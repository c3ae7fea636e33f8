"""Ctrl-C while TensorRT works: an exception raised inside one of its callbacks would be swallowed there."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C and SIGTERM back for as long as the block runs, and raise KeyboardInterrupt after it.

    Yields what says whether one came. Signals that this process ignores, or that end it at once, are left alone; so
    are all of them beside the main thread, where Python runs no handlers.
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
