"""What a profile says in words: where the time goes, what to try, and which of its figures not to trust."""

from collections.abc import Iterable

from masklet.profiles.recording.phases import BANK, CAPTURE, POSTPROCESS, PREPROCESS, SINK
from masklet.profiles.report.over_time import slowdowns
from masklet.profiles.report.report import Report

DOES = {
    CAPTURE: "gets frames from the source",
    PREPROCESS: "resizes frames",
    BANK: "gathers and keeps memories",
    POSTPROCESS: "enlarges masks",
    SINK: "writes the outputs",
}
FASTER_STAGES = "--backend auto, `masklet calibrate` for INT8, or a smaller --image-size at export"
TRY = {
    CAPTURE: "smaller or fewer frames from the source (--size and --rate of a camera, --stride of a file)",
    PREPROCESS: "frames near the model's size (--max-side)",
    BANK: "fewer objects, or fewer memory frames",
    POSTPROCESS: "smaller frames (--max-side)",
    SINK: "--overlay-preset ultrafast, a hardware encoder (--overlay-encoder), or no overlay",
    "image_encoder": FASTER_STAGES,
    "memory_attention": f"fewer memory frames or a smaller memory (`masklet tune`), or {FASTER_STAGES}",
}
WHOLE = 1.0  # a share of the limit that nothing can exceed


def verdict(report: Report) -> list[str]:
    """Where the time goes, in one sentence, and what to try, in another."""
    ranked = sorted(report.parts.items(), key=lambda item: item[1].share, reverse=True)
    (first, largest), *rest = ranked
    line = f"{largest.share:.0%} of the time {_does(first, report)}"
    if rest and rest[0][1].share > 0:
        line += f"; next: {rest[0][0]}, {rest[0][1].share:.0%}"
    return [line, f"to try: {TRY.get(first, FASTER_STAGES)}"]


def doubts(report: Report) -> Iterable[str]:
    """What makes figures of the report doubtful, one line each; nothing where there is no reason to doubt them."""
    if report.device.busy:
        load = report.device.before.load_average or ()
        words = ", ".join(f"{value:.1f}" for value in load)
        yield f"the machine was busy: load {words} on {report.device.cores} cores before it began"
    yield from slowdowns(report)
    for name, stage in report.roofline.stages.items() if report.roofline else ():
        if stage.share is not None and stage.share > WHOLE:
            yield (
                f"{name} reaches {stage.share:.0%} of its limit: the machine's peaks were measured too low, so the "
                "other shares are too high as well"
            )


def _does(name: str, report: Report) -> str:
    if name == SINK and report.source.outputs != "none":
        return f"{DOES[SINK]} ({report.source.outputs})"
    return DOES.get(name, f"runs {name}")
