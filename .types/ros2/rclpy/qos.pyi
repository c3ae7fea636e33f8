from enum import IntEnum

class ReliabilityPolicy(IntEnum):
    BEST_EFFORT = 2

class QoSProfile:
    def __init__(self, *, depth: int, reliability: ReliabilityPolicy = ...) -> None: ...
