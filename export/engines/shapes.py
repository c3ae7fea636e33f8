"""Which shapes an engine is built for: optimisation profiles, from a stage's declaration and a device profile.

An engine with symbols gets two. "usual" is exact, since dynamic shapes cost memory attention a factor of two or three
(facebookresearch/sam2#639): one object, its memory full, one click. "any" takes what else may come.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from masklet.export.engines.device_profile import DeviceProfile
from masklet.runtime.bundle.spec import ModelSpec, StageSpec
from masklet.runtime.errors import SpecError
from masklet.runtime.tracking.memory_detail import usual_tokens

Shape = tuple[int, ...]
# Symbols of SAM 3, which device profiles need not name: a phrase has 32 tokens, each exemplar one, the geometry one.
CONCEPTS = {"phrases": (1, 1, 4), "exemplars": (1, 1, 8), "tokens": (33, 34, 41), "selected": (1, 8, 200)}
Sizes = Mapping[str, tuple[int, int, int]]  # of each symbol: the fewest, the usual, the most


@dataclass(frozen=True, slots=True)
class OptimizationProfile:
    """Shapes that one of an engine's profiles accepts, by input: the least, the optimum, the largest."""

    name: str
    sizes: Sizes
    shapes: Mapping[str, tuple[Shape, Shape, Shape]]

    def __str__(self) -> str:
        """`any(memories 1/7/14, objects 1/1/8)`, or `fixed` where no input has a symbol."""
        if not self.sizes:
            return self.name
        parts = (f"{s} {size[1]}" if len(set(size)) == 1 else f"{s} {_slashed(size)}" for s, size in self.sizes.items())
        return f"{self.name}({', '.join(parts)})"


def optimization_profiles(model: ModelSpec, stage: StageSpec, device: DeviceProfile) -> tuple[OptimizationProfile, ...]:
    """The profiles of a stage's engine. Raises SpecError for a symbol that has no sizes."""
    sizes = {symbol: symbol_sizes(model, stage, symbol, device) for symbol in sorted(stage.symbols())}
    if not sizes:
        return (_profile("fixed", stage, sizes),)
    exact = {symbol: (usual, usual, usual) for symbol, (_, usual, _) in sizes.items()}
    return _profile("usual", stage, exact), _profile("any", stage, sizes)


def symbol_sizes(model: ModelSpec, stage: StageSpec, symbol: str, device: DeviceProfile) -> tuple[int, int, int]:
    """The fewest, the usual and the most of a symbol.

    The device profile's own word counts first; otherwise a full bank of one prompted frame is usual.
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
            f"add to its [sizes]: {symbol} = [fewest, usual, most]"
        )
    return known[symbol]


def _profile(name: str, stage: StageSpec, sizes: Sizes) -> OptimizationProfile:
    fewest, usual, most = ({symbol: size[k] for symbol, size in sizes.items()} for k in range(3))
    shapes = {t.name: (t.sized(fewest), t.sized(usual), t.sized(most)) for t in stage.inputs}
    return OptimizationProfile(name, sizes, shapes)


def _slashed(sizes: tuple[int, int, int]) -> str:
    return "/".join(map(str, sizes))
