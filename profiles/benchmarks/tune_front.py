"""The front of hiera-tiny: what `masklet tune` reaches in speed at a real size.

    python profiles/benchmarks/tune_front.py --bundle TINY --int8 TINY8 [--checkpoint FOLDER] [--threads N] [--write]

TINY: hiera-tiny with --image-size 1024 --image-size 512 --foveated. TINY8: what `masklet calibrate --variant
512-foveated --precision int8` makes of it. A frame of points of the front once memories are full, with one object and
with eight, beside the modules of the checkpoint in torch. --write keeps the table in tune.md.
"""

import argparse
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path = [path for path in sys.path if path != str(HERE)]  # openvino.py beside this file is not the package
sys.path += [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from masklet.calibration.clips.clips import Clip  # noqa: E402
from masklet.calibration.tuning.models import Models, Wrap  # noqa: E402
from masklet.calibration.tuning.point import BF16, Point  # noqa: E402
from masklet.calibration.tuning.trial import TimedFrames, Times, timed_session, times_of  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Box, Prompt  # noqa: E402
from masklet.runtime.tracking import update_interval  # noqa: E402
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker  # noqa: E402
from tune import keep  # type: ignore[import-not-found] # noqa: E402

STAGES = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")
PLACE = dict.fromkeys(STAGES, "openvino:bf16")
FRAMES, FILLED = 16, 8  # frames of a speed, and the first of them that counts
ONE, ONE_THIRD = "512 px, INT8 and bf16, foveated:192, 2 recent frames", "the same, every 3rd frame segmented"
EIGHT, EIGHT_THIRD = "the same, eight objects, every frame", "the same, eight objects, every 3rd frame"
TORCH = "torch eager FP32, the modules of the checkpoint"


def front(given: argparse.Namespace) -> str:
    """Milliseconds of a frame of hiera-tiny at points of the front."""
    update_interval.LEAST_IOU = -1.0  # weights are random: objects wait wherever their masks are found
    bundle = Bundle.load(given.bundle, check_hashes=False)
    models = Models([bundle, Bundle.load(given.int8, check_hashes=False)], given.threads)
    for key in models.names():
        models.places[key, BF16] = PLACE
    points = {
        "exact": (models.exact, 1),
        "1024 px, bf16": (Point("1024", numerics=BF16), 1),
        "1024 px, bf16, foveated:640": (Point("1024-foveated", numerics=BF16, detail="foveated:640"), 1),
        "512 px, bf16": (Point("512", numerics=BF16), 1),
        "512 px, bf16, foveated:192, 2 recent frames": (_fastest(1, bundle=0), 1),
        ONE: (_fastest(1), 1),
        ONE_THIRD: (_fastest(3), 1),
        EIGHT: (_fastest(1), 8),
        EIGHT_THIRD: (_fastest(3), 8),
    }
    times: dict[str, Times] = {}
    for name, (point, objects) in points.items():
        times[name] = one = _frame_ms(partial(models.open, point), point.options, objects)
        print(f"{name}: {one.mean:.0f} ms, {one.decoded:.2f} segmented; {_stages(one)}", flush=True)
    exact_again = _frame_ms(partial(models.open, models.exact), models.exact.options, 1)
    times["exact"] = min(times["exact"], exact_again, key=lambda one: one.mean)
    if given.checkpoint is not None:
        times[TORCH] = _frame_ms(partial(_torch, given), TrackerOptions(), 1)
    exact = times["exact"].mean
    lines = [
        f"SAM 2.1 hiera-tiny, random weights, {given.threads} threads; a frame from pixels to masks, medians once "
        "memories are full; exact before and after the others, the shorter. Stages in bf16 and INT8 run on OpenVINO, "
        "the others on ONNX Runtime.",
        "",
        "| point | ms a frame | times as fast as exact | frames segmented |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {one.mean:.0f} | {exact / one.mean:.2f} | {one.decoded:.2f} |" for name, one in times.items()),
        "",
        _in_words({name: one.mean for name, one in times.items()}),
        "",
        f"A frame with one object at the fastest point that segments every frame: {_stages(times[ONE])}. With eight "
        f"objects: {_stages(times[EIGHT])}.",
        "",
        *_sizes(bundle),
    ]
    return "\n".join(lines)


def _in_words(ms: dict[str, float]) -> str:
    """What the table says of ratios."""
    exact, one = ms["exact"], ms[ONE]
    torch = f", and {ms[TORCH] / one:.0f} times as fast as the modules in torch" if TORCH in ms else ""
    return (
        f"At 1024 px bf16 with foveated memory is {exact / ms['1024 px, bf16, foveated:640']:.1f} times as fast as the "
        f"exact pipeline; the fastest point that segments every frame {exact / one:.0f} times{torch}. Eight objects at "
        f"that point cost {ms[EIGHT] / one:.2f} times one object if every frame is segmented, "
        f"{ms[EIGHT_THIRD] / ms[ONE_THIRD]:.2f} times at every third frame, and with every third frame "
        f"{ms[EIGHT_THIRD] / one:.2f} times one object at every frame. Weights are random and the picture stands "
        "still: objects always wait, the best case of the update interval."
    )


def _stages(times: Times) -> str:
    """A frame by its stages."""
    named = [f"{name} {ms:.1f} ms" for name, ms in times.stages.items()]
    return ", ".join([*named, f"the host {times.mean - sum(times.stages.values()):.1f} ms"])


def _sizes(bundle: Bundle) -> Iterator[str]:
    """What each later frame size adds to the files of the first one."""
    variants = bundle.manifest.all_variants()
    files = {v.model.form: {f.path: f.bytes for a in v.artifacts for f in a.files} for v in variants}
    (first, base), *others = ((form, sizes) for form, sizes in files.items() if not form.endswith("-foveated"))
    whole = sum(base.values())
    for form, sizes in others:
        added = sum(count for path, count in sizes.items() if path not in base)
        yield (
            f"The {form} px variant adds {added / 1e6:.1f} MB to the {whole / 1e6:.1f} MB of the {first} px variant, "
            f"{added / whole:.1%}."
        )


def _fastest(update: int, bundle: int = 1) -> Point:
    return Point("512-foveated", bundle, BF16, "foveated:192", frames=2, update=update)


def _torch(given: argparse.Namespace, wrap: Wrap) -> Sessions:
    import torch
    from masklet.export.families import sam2
    from torch_sessions import torch_sessions
    from transformers import Sam2VideoModel

    torch.set_num_threads(given.threads)
    family: Any = sam2.FAMILY
    return torch_sessions(family, Sam2VideoModel.from_pretrained(given.checkpoint).eval(), wrap=wrap)


def _frame_ms(open_: Callable[[Wrap], Sessions], options: TrackerOptions, objects: int) -> Times:
    """The times of a frame once memories are full."""
    picture = np.random.default_rng(0).integers(60, 120, (720, 1280, 3), dtype=np.uint8)
    cv2.circle(picture, (640, 360), 120, (220, 40, 40), -1)
    prompts: dict[int, Prompt] = {n + 1: Box(100 + 140 * n, 200, 220 + 140 * n, 500) for n in range(objects)}
    count, timed = FRAMES if options.update_interval == 1 else 3 * FRAMES, TimedFrames()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            cv2.imwrite(f"{folder}/{index:03d}.png", picture)
        with open_(lambda session: timed_session(session, [timed], time.perf_counter)) as sessions:
            tracker, clip = VideoTracker(sessions, options), Clip(folder, {0: prompts}, {})
            deque(timed.follow(tracker, clip, time.perf_counter), maxlen=0)
    timed.seconds, timed.stages = timed.seconds[FILLED - 1 :], timed.stages[FILLED - 1 :]
    return times_of([timed], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--int8", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="times its modules in torch, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = front(given)
    print(text)
    if given.write:
        words = " --checkpoint tiny" if given.checkpoint else ""
        command = f"--bundle tiny.bundle --int8 tiny8.bundle{words} --threads {given.threads} --write"
        keep("tune tiny", text, f"python profiles/benchmarks/tune_front.py {command}")


if __name__ == "__main__":
    main()
