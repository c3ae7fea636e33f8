"""The picture of the memory bank: which earlier frames a frame attends to, by the real memory policies.

    python docs/pictures/memory_bank.py

Writes docs/explanation/memory-bank.svg. The object is prompted on frame 0, not visible on frames 12 to 21, and
corrected on frame 23.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
from masklet.runtime.bundle.spec import MemorySpec
from masklet.runtime.tracking.memory_policy import Attended, MemoryPolicy, Seen
from masklet.runtime.tracking.policies.sam2 import Sam2, Sam2Options
from masklet.runtime.tracking.policies.sam3 import Sam3, Sam3Options

OUT = Path(__file__).parent.parent / "explanation" / "memory-bank.svg"
SPEC = MemorySpec(recent_frames=6, prompted_frames=4, pointers=16)  # of SAM 2.1
FRAMES, PROMPTED, HIDDEN = 31, (0, 23), range(12, 22)
SHOWN = (5, 11, 22, 30)
CELL, ROW, LEFT, TOP = 22, 34, 120, 56
MASK = np.zeros((1, 1), np.float32)
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #20252b } .small { font-size: 10.5px; fill: #5b6570 }
.cell { fill: #f4f5f6; stroke: #c9ced3 } .hidden { fill: #e4e7ea; stroke: #c9ced3 }
.recent { fill: #00897b; stroke: #00695c } .prompted { fill: #e08e0b; stroke: #a9690a }
.now { fill: #3b76d6; stroke: #2a569e }
.pointer { fill: #7b3fa0 }
"""


def attended(policy: MemoryPolicy, now: int) -> Attended:  # type: ignore[type-arg]
    """What a frame attends to after the story up to it."""
    state = policy.start()
    for time in range(now):
        prompted, hidden = time in PROMPTED, time in HIDDEN
        sure = 0.0 if hidden else 0.9
        seen = Seen(time, prompted, MASK, -5.0 if hidden else 5.0, sure, sure)
        state = policy.after(state, seen, pinned=prompted)
    return policy.attended(state, now)


def row(policy: MemoryPolicy, now: int, top: int) -> Iterator[str]:  # type: ignore[type-arg]
    """The cells of the frames before `now`, coloured by what it attends to."""
    memories, pointers = attended(policy, now)
    yield f'<text x="{LEFT - 10}" y="{top + 16}" text-anchor="end">frame {now}</text>'
    for time in range(now + 1):
        kind = "hidden" if time in HIDDEN else "cell"
        if time == now:
            kind = "now"
        elif time in memories:
            kind = "prompted" if time in PROMPTED else "recent"
        x = LEFT + time * CELL
        yield f'<rect class="{kind}" x="{x}" y="{top}" width="{CELL - 3}" height="{CELL - 3}" rx="3"/>'
        if time in pointers and time >= 0:
            yield f'<circle class="pointer" cx="{x + CELL / 2 - 1.5}" cy="{top + CELL + 2}" r="2.6"/>'


def panel(title: str, policy: MemoryPolicy, top: int) -> Iterator[str]:  # type: ignore[type-arg]
    """All shown frames under one policy."""
    yield f'<text x="{LEFT}" y="{top}" font-weight="600">{escape(title)}</text>'
    for number, now in enumerate(SHOWN):
        yield from row(policy, now, top + 10 + number * ROW)


def legend(top: int) -> Iterator[str]:
    """What the colours mean."""
    x = LEFT
    entries = (
        ("prompted", "memory of a prompted frame"),
        ("recent", "memory of a recent frame"),
        ("now", "current frame"),
        ("hidden", "object not visible"),
    )
    for kind, words in entries:
        yield f'<rect class="{kind}" x="{x}" y="{top}" width="14" height="14" rx="3"/>'
        yield f'<text class="small" x="{x + 20}" y="{top + 11}">{words}</text>'
        x += 36 + round(5.4 * len(words))
    yield f'<circle class="pointer" cx="{x + 5}" cy="{top + 7}" r="3"/>'
    yield f'<text class="small" x="{x + 14}" y="{top + 11}">object pointer</text>'


def main() -> None:
    """Write the picture."""
    second = TOP + 30 + len(SHOWN) * ROW
    width, height = LEFT + FRAMES * CELL + 20, second + 20 + len(SHOWN) * ROW
    parts = [*legend(14)]
    parts += panel("SAM 2: the last six frames", Sam2(SPEC, Sam2Options()), TOP)
    parts += panel("SAM 3: the last frame, and the latest frames with a good mask", Sam3(SPEC, Sam3Options()), second)
    OUT.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Which earlier frames a frame attends to"><style>{STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    main()
