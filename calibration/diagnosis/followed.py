"""What is followed in a clip: the objects that a user prompts, or those that the truth has on the first frame."""

from masklet.calibration.clips.clips import Clip
from masklet.calibration.diagnosis.observer.positions import BoolArray
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts.prompts import Mask, Schedule
from masklet.runtime.startup.tracking_request import check_frames_come


def schedule_of(clip: Clip) -> Schedule:
    """The prompts of a clip: its own, or the true masks of its first frame where it has none.

    Raises MaskletError where nothing is to be followed, a prompt's frame does not come, or the truth has no such object
    where it is prompted first.
    """
    if clip.schedule:
        _check(clip)
        return clip.schedule
    first = _masks(clip, clip.first_frame)
    seen = {i: Mask(mask) for i, mask in sorted(first.items()) if mask.any()}
    if not seen:
        raise CalibrationError(
            f"{clip.source}: the truth has no object on frame {clip.first_frame}, the first; begin where one is in "
            "sight, with --start, or prompt it later, with --point ID@FRAME:X,Y"
        )
    return {clip.first_frame: dict(seen)}


def _check(clip: Clip) -> None:
    with clip.open() as source:
        check_frames_come(clip.schedule, source)
    if clip.truth is None:
        return
    begun: set[int] = set()
    for frame, prompts in sorted(clip.schedule.items()):
        masks = _masks(clip, frame)
        for object_id in sorted(prompts.keys() - begun):
            if object_id not in masks or not masks[object_id].any():
                there = ", ".join(str(i) for i, mask in sorted(masks.items()) if mask.any()) or "none"
                raise CalibrationError(
                    f"{clip.source}: object {object_id} is prompted on frame {frame}, where the truth has "
                    f"{there}; a prompt's ID is the object's value in the true masks"
                )
        begun |= prompts.keys()


def _masks(clip: Clip, frame: int) -> dict[int, BoolArray]:
    """The true masks of a frame."""
    if clip.truth is None:
        raise CalibrationError(
            f"{clip.source}: nothing to follow; give --truth MASKS, or at least one of --point, --box and --mask"
        )
    with clip.open() as source:
        width, height = source.size
    masks = clip.truth.masks(frame, (height, width))
    if masks is None:
        raise CalibrationError(f"{clip.source}: frame {frame} has no true mask; give one for every frame")
    return {i: masks[i] for i in masks}
