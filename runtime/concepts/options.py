"""The rules of finding and following the instances of a concept, each constant under a name."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from masklet.runtime.errors import PromptError


@dataclass(frozen=True, slots=True)
class ConceptOptions:
    """What a user may choose; the defaults are Meta's (build_sam3_video_model; V = sam3_video_base.py).

    Overlaps are intersections over union of masks at the detector's resolution, time counts frames given, and every
    rule holds within one concept: instances of two phrases do not know of each other.

    Detection
    min_presence:         where a phrase is less likely to be in the image at all, its masks are not computed. No score
                          exceeds the presence, so that up to `min_score` nothing is lost.
    min_score:            of a detection, at most 1 (score_threshold_detection; the image processor's 0.5).
    suppress_overlap:     of two detections that overlap more, the worse goes (det_nms_thresh); videos only.
    concept_batch:        concepts that share one call of the detector; bounds the memory of the calls.

    Association
    match_overlap:        from here on a detection and a track are the same thing (assoc_iou_thresh).
    track_overlap:        a track that no detection overlaps so much is unmatched on this frame (trk_assoc_iou_thresh).
    new_score:            of a detection that becomes a new object while others are tracked (new_det_thresh).
    max_objects:          of one concept; the new ones with the lowest scores are dropped (max_num_objects).
    forget_after:         an object that was no detection for so many frames running is let go for good; it comes back
                          as a new one. 0 for never, as in Meta's code, whose videos end: in a stream that does not,
                          what left the scene would be looked for on every frame.

    Hotstart: the first frames of an object, in which it may turn out to be none
    hotstart:             results come so many frames less one late, and objects younger than it may be removed for good
                          (hotstart_delay); 0 for results at once and no removal.
    hotstart_unmatched:   removed after so many unmatched frames (hotstart_unmatch_thresh).
    hotstart_duplicates:  removed after so many frames on which it shares its detection with an older object
                          (hotstart_dup_thresh).
    keep_alive_start, keep_alive_max, keep_alive_min: a count that each matched frame raises and each unmatched one
                          lowers (init_, max_ and min_trk_keep_alive).
    keep_alive_counts_empty: a frame with an empty mask lowers it, too (decrease_trk_keep_alive_for_empty_masklets).
    hide_unmatched:       objects whose count is used up are hidden, whatever their age (the reverse of
                          suppress_unmatched_only_within_hotstart).
    confirm:              an object is shown only once it was matched on `confirm_frames` frames running; so many frames
                          less one are looked ahead, as far as `hotstart` allows (masklet_confirmation_*).
    confirm_frames:       see `confirm`.

    Masks and memory
    clean_area:           holes of at most so many low-resolution pixels are filled, specks removed (fill_hole_area).
    recondition_every:    on every n-th frame tracks that a sure detection confirms become prompted frames of their
                          memory; 0 for never (recondition_every_nth_frame).
    recondition_score, recondition_overlap: of such a detection (HIGH_CONF_THRESH, HIGH_IOU_THRESH, V 1277).
    recondition_visible:  logit of being visible that such a track must exceed (V 475).
    occlusion_overlap:    of two tracks that overlap so much, the one that was out of sight more recently is blanked;
                          0 for never (suppress_overlapping_based_on_recent_occlusion_threshold).
    min_kept_share:       a track that keeps less of its area where the highest logit takes each pixel is remembered as
                          absent (_suppress_shrinked_masks).
    refine_window:        detections that a track was given within so many frames of a user's correction no longer count
                          as prompted (refinement_detector_cond_frame_removal_window).
    object_batch:         objects that share one call of a stage; bounds the memory of the calls.
    Raises PromptError for a value out of its range.
    """

    min_presence: float = 0.5
    min_score: float = 0.5
    suppress_overlap: float = 0.1
    concept_batch: int = 4

    match_overlap: float = 0.1
    track_overlap: float = 0.5
    new_score: float = 0.7
    max_objects: int = 10_000
    forget_after: int = 0

    hotstart: int = 15
    hotstart_unmatched: int = 8
    hotstart_duplicates: int = 8
    keep_alive_start: int = 30
    keep_alive_max: int = 30
    keep_alive_min: int = -1
    keep_alive_counts_empty: bool = False
    hide_unmatched: bool = False
    confirm: bool = False
    confirm_frames: int = 3

    clean_area: int = 16
    recondition_every: int = 16
    recondition_score: float = 0.8
    recondition_overlap: float = 0.8
    recondition_visible: float = 0.8
    occlusion_overlap: float = 0.7
    min_kept_share: float = 0.3
    refine_window: int = 16
    object_batch: int = 8

    def __post_init__(self) -> None:
        least = {"concept_batch": 1, "max_objects": 1, "confirm_frames": 1, "object_batch": 1}
        free = ("keep_alive_start", "keep_alive_max", "keep_alive_min", "recondition_visible")
        shares = {"min_presence", "min_score", "suppress_overlap", "match_overlap", "track_overlap", "new_score"}
        shares |= {"recondition_score", "recondition_overlap", "occlusion_overlap", "min_kept_share"}
        for field in fields(self):
            value = getattr(self, field.name)
            low = least.get(field.name, 0)
            if not np.isfinite(value) or (field.name not in free and value < low):
                raise PromptError(f"{field.name} {value} is out of range; give {low} or more")
            if field.name in shares and value > 1:
                raise PromptError(f"{field.name} {value} is out of range; give 0 to 1")
        if self.hotstart and max(self.hotstart_unmatched, self.hotstart_duplicates) > self.hotstart:
            raise PromptError(
                f"hotstart {self.hotstart} is over before hotstart_unmatched {self.hotstart_unmatched} or "
                f"hotstart_duplicates {self.hotstart_duplicates} can be reached; lower those, or raise it"
            )

    @classmethod
    def of(cls, min_score: float, hotstart: int) -> Self:
        """Meta's options but for these two; what depends on them follows.

        A lower score lets less likely phrases through, and new objects begin as far above it as Meta's do; a shorter
        hotstart takes no more frames than it has to call a track nothing.
        """
        meta = cls()
        return cls(
            min_score=min_score,
            min_presence=min(min_score, meta.min_presence),
            new_score=min(1.0, min_score + meta.new_score - meta.min_score),
            hotstart=hotstart,
            hotstart_unmatched=min(meta.hotstart_unmatched, hotstart),
            hotstart_duplicates=min(meta.hotstart_duplicates, hotstart),
        )

    @property
    def delay(self) -> int:
        """Frames by which results lag behind."""
        return max(0, self.hotstart - 1)
