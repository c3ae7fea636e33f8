"""Optimisation profiles: the shapes that an engine is built for, from the declaration of a stage and a device profile.

An engine with symbols gets two. "usual" is for one exact shape (one object, full memory, one click), since dynamic
shapes make memory attention two to three times slower (facebookresearch/sam2#639). "any" is for the whole range.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from masklet.export.engines.device_profile import DeviceProfile
from masklet.runtime.bundle.spec import ModelSpec, StageSpec
from masklet.runtime.errors import SpecError
from masklet.runtime.tracking.memory_detail import usual_tokens

Shape = tuple[int, ...]
# Symbols of SAM 3, which device profiles need not name: 32 tokens per phrase, one per exemplar, one for the geometry.
CONCEPTS = {"phrases": (1, 1, 4), "exemplars": (1, 1, 8), "tokens": (33, 34, 41), "selected": (1, 8, 200)}
Sizes = Mapping[str, tuple[int, int, int]]  # for each symbol: minimum, usual, maximum


@dataclass(frozen=True, slots=True)
class OptimizationProfile:
    """The shapes of one optimisation profile, by input: minimum, optimum, maximum."""

    name: str
    sizes: Sizes
    shapes: Mapping[str, tuple[Shape, Shape, Shape]]

    def __str__(self) -> str:
        """For example `any(memories 1/7/14, objects 1/1/8)`, or `fixed` if no input has a symbol."""
        if not self.sizes:
            return self.name
        parts = (f"{s} {size[1]}" if len(set(size)) == 1 else f"{s} {_slashed(size)}" for s, size in self.sizes.items())
        return f"{self.name}({', '.join(parts)})"


def optimization_profiles(model: ModelSpec, stage: StageSpec, device: DeviceProfile) -> tuple[OptimizationProfile, ...]:
    """The profiles of the engine of a stage. Raises SpecError for a symbol without sizes."""
    sizes = {symbol: symbol_sizes(model, stage, symbol, device) for symbol in sorted(stage.symbols())}
    if not sizes:
        return (_profile("fixed", stage, sizes),)
    exact = {symbol: (usual, usual, usual) for symbol, (_, usual, _) in sizes.items()}
    return _profile("usual", stage, exact), _profile("any", stage, sizes)


def symbol_sizes(model: ModelSpec, stage: StageSpec, symbol: str, device: DeviceProfile) -> tuple[int, int, int]:
    """Minimum, usual and maximum size of a symbol.

    The device profile has priority; by default, a full memory bank with one prompted frame is usual.
    """
    known = CONCEPTS | device.sizes
    if model.memory is not None:
        policy = model.memory
        known.setdefault("memories", (1, 1 + policy.recent_frames, policy.prompted_frames + policy.recent_frames))
        if model.token_memory:
            rows, columns = model.feature_hw
            known.setdefault("memory_tokens", (1, usual_tokens(rows, columns), rows * columns))
        known.setdefault("pointers", (1, policy.pointers, policy.prompted_frames + policy.pointers - 1))
    if symbol not in known:
        raise SpecError(
            f"stage {stage.name!r}: the device profile {device.name!r} has no sizes of {symbol!r}; "
            f"add to its [sizes]: {symbol} = [minimum, usual, maximum]"
        )
    return known[symbol]


def _profile(name: str, stage: StageSpec, sizes: Sizes) -> OptimizationProfile:
    fewest, usual, most = ({symbol: size[k] for symbol, size in sizes.items()} for k in range(3))
    shapes = {t.name: (t.sized(fewest), t.sized(usual), t.sized(most)) for t in stage.inputs}
    return OptimizationProfile(name, sizes, shapes)


def _slashed(sizes: tuple[int, int, int]) -> str:
    return "/".join(map(str, sizes))
