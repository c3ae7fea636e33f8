"""How a transformation begins: not at all on the first frame, where the prompts are, and wholly ten frames later."""

FRAMES = 10


def ramp(frame: int) -> float:
    """The part of a change that a frame has: 0 on the first, 1 from the eleventh on."""
    return min(frame / FRAMES, 1.0)
