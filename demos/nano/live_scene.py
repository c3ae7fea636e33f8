"""An endless scene as raw frames on standard output, in place of a camera.

    python demos/nano/live_scene.py | masklet run nano.bundle - --size 480x480 --rate 12 --view 8000

The held-out scene of the demo is played forwards and backwards in turn, at the rate of a camera.
"""

import argparse
import itertools
import os
import sys
import time

from scenes import HELD_OUT_SEED, render

KIND, SEED = "cluttered", HELD_OUT_SEED + 103


def main() -> None:
    """Write frames until nobody reads them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=480, help="edge in pixels")
    parser.add_argument("--rate", type=float, default=12.0, help="frames a second")
    parser.add_argument("--frames", type=int, default=40, help="of the scene, until it turns back")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    frames = [frame.tobytes() for frame in render(KIND, chosen.seed, chosen.size, chosen.frames).frames]
    began_s = time.perf_counter()
    try:
        for number, frame in enumerate(itertools.cycle([*frames, *frames[-2:0:-1]])):
            time.sleep(max(0.0, began_s + number / chosen.rate - time.perf_counter()))
            sys.stdout.buffer.write(frame)
            sys.stdout.buffer.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at the end


if __name__ == "__main__":
    main()
