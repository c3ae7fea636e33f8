"""What can be done about a loss, with what masklet has: each remedy names an option or a command."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.verdict import Verdict
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.tracking.known_policies import bank_sizes

FEW_CELLS = 9  # that an object covers in the model's frame, from which on a larger frame is worth trying
DARK, DARKER = 40, 0.5  # of 255; of what it was before


@dataclass(frozen=True)
class Circumstances:
    """What a remedy depends on. memory: the policy that was run. click: x, y inside of the object on the verdict's
    frame, where that is known."""

    bundle: Bundle
    memory: str
    measures: Sequence[FrameMeasures]
    click: tuple[int, int] | None


def remedies(verdict: Verdict, at: Circumstances) -> list[str]:
    """What to try, the likeliest first."""
    found = [_precision(verdict.position, at.bundle)]
    if verdict.position is Position.IMAGE:
        found += [_light(verdict, at.measures), _size(verdict, at)]
    if verdict.position in (Position.ATTENTION, Position.MEMORY):
        found.append(_memory(at))
    if verdict.kind == "prompt":
        found.append("a prompt that says more: a box, more clicks, or the mask itself (--box, --point, --mask)")
    if verdict.kind == "breakdown":
        found.append(_correction(verdict, at.click))
    return [remedy for remedy in found if remedy]


def low_stages(bundle: Bundle) -> dict[str, str]:
    """The precision of every stage that is not FP32, as ONNX Runtime runs it."""
    backend = OnnxRuntime()
    precisions = {stage.name: backend.artifact(bundle, stage).precision for stage in bundle.model.stages}
    return {stage: str(precision) for stage, precision in precisions.items() if precision != Precision.FP32}


def _precision(position: Position, bundle: Bundle) -> str:
    precision = low_stages(bundle).get(position.stage)
    if precision is None:
        return ""
    return (
        f"{position.stage} runs in {precision}: `--against` the FP32 bundle shows whether that is why; `masklet "
        "calibrate` keeps the stage higher with a smaller --max-drop"
    )


def _light(verdict: Verdict, measures: Sequence[FrameMeasures]) -> str:
    now = next(m.brightness for m in measures if m.frame == verdict.since)
    before = [m.brightness for m in measures if m.frame < verdict.since and m.in_sight]
    if now >= DARK and (not before or now >= DARKER * median(before)):
        return ""
    was = f", {median(before):.0f} before" if before else ""
    return f"more light, or a longer exposure: the object's brightness is {now:.0f} of 255{was}"


def _size(verdict: Verdict, at: Circumstances) -> str:
    area = next(m.area for m in at.measures if m.frame == verdict.since)
    rows, columns = at.bundle.model.feature_hw
    cells = area * rows * columns
    if cells >= FEW_CELLS:
        return ""
    side = at.bundle.model.preprocess.side
    return (
        f"a larger frame: the object covers {cells:.1f} cells of the model's {side} px; `masklet export --image-size "
        f"{2 * side}`, or a camera that is nearer"
    )


def _memory(at: Circumstances) -> str:
    others = [name for name in bank_sizes(at.bundle.model) if name != at.memory.partition(":")[0]]
    if not others:
        return ""
    named = " or ".join(others)
    return f"another memory policy, {named}: `--against-memory {others[0]}` shows what it would do"


def _correction(verdict: Verdict, click: tuple[int, int] | None) -> str:
    if click is None:
        return f"a correction prompt on frame {verdict.frame}"
    x, y = click
    return f"a correction prompt on frame {verdict.frame}: `--point {verdict.object_id}@{verdict.frame}:{x},{y}`"
