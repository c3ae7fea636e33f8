"""The constants of the rules for detecting and tracking the instances of a concept, each with a name."""

from dataclasses import dataclass, fields

import numpy as np
from masklet.runtime.errors import PromptError
from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class ConceptOptions:
    """Options of concept detection and tracking; defaults are Meta's (build_sam3_video_model; V = sam3_video_base.py).

    Overlaps are mask IoU at the detector's resolution. Time counts the frames given to the tracker. Every rule applies
    within one concept: instances of two phrases do not affect each other.

    Detection
    min_presence:         if the probability that a phrase is in the image is below this, its masks are not computed.
                          No score exceeds the presence, so values up to `min_score` lose nothing.
    min_score:            minimum score of a detection, at most 1 (score_threshold_detection; image processor: 0.5).
    suppress_overlap:     of two detections that overlap more than this, the one with the lower score is dropped
                          (det_nms_thresh); videos only.
    concept_batch:        number of concepts per call of the detector; bounds the memory of a call.
    detection_interval:   the detector runs on every n-th frame, and the tracker follows in between. Each run counts for
                          the frames since the one before, in all counts below; reconditioning waits for the next run.

    Association
    match_overlap:        a detection and a track with at least this overlap are the same object (assoc_iou_thresh).
    track_overlap:        a track that no detection overlaps by at least this is unmatched on the frame
                          (trk_assoc_iou_thresh).
    new_score:            minimum score of a detection that becomes a new object while others are tracked
                          (new_det_thresh).
    max_objects:          maximum number of objects per concept; new ones with the lowest scores are dropped
                          (max_num_objects).
    forget_after:         an object that was not detected on this number of consecutive frames is dropped; if it
                          returns, it gets a new id. 0 for never, as in Meta's code, whose videos end. In an endless
                          stream, objects that left the scene would otherwise be tracked forever.

    Hotstart: the first frames of an object, in which it may still be removed as a false positive
    hotstart:             results are delayed by this number of frames minus one, and objects younger than it may be
                          removed (hotstart_delay); 0 for no delay and no removal.
    hotstart_unmatched:   an object is removed after this number of unmatched frames (hotstart_unmatch_thresh).
    hotstart_duplicates:  an object is removed after this number of frames on which it shares its detection with an
                          older object (hotstart_dup_thresh).
    keep_alive_start, keep_alive_max, keep_alive_min: a counter that each matched frame increases and each unmatched
                          frame decreases (init_, max_ and min_trk_keep_alive).
    keep_alive_counts_empty: a frame with an empty mask decreases it, too (decrease_trk_keep_alive_for_empty_masklets).
    hide_unmatched:       objects whose counter has run out are hidden, whatever their age (the opposite of
                          suppress_unmatched_only_within_hotstart).
    confirm:              an object is shown only after it was matched on `confirm_frames` consecutive frames; the
                          tracker looks ahead by this number of frames minus one, as far as `hotstart` allows
                          (masklet_confirmation_*).
    confirm_frames:       see `confirm`.

    Masks and memory
    clean_area:           holes and specks of at most this number of low-resolution pixels are removed (fill_hole_area).
    recondition_every:    on every n-th frame, tracks that a high-score detection confirms become prompted frames in
                          their memory; 0 for never (recondition_every_nth_frame).
    recondition_score, recondition_overlap: minimum score and overlap of such a detection (HIGH_CONF_THRESH,
                          HIGH_IOU_THRESH, V 1277).
    recondition_visible:  visibility logit that such a track must exceed (V 475).
    occlusion_overlap:    of two tracks with at least this overlap, the one that was occluded more recently is blanked;
                          0 for never (suppress_overlapping_based_on_recent_occlusion_threshold).
    min_kept_share:       every pixel goes to the highest logit; a track that keeps less than this share of its area is
                          stored as absent (_suppress_shrinked_masks).
    refine_window:        detections that were pinned within this number of frames of a user's correction no longer
                          count as prompted (refinement_detector_cond_frame_removal_window).
    object_batch:         number of objects per call of a stage; bounds the memory of a call.
    Raises PromptError for a value out of its range.
    """

    min_presence: float = 0.5
    min_score: float = 0.5
    suppress_overlap: float = 0.1
    concept_batch: int = 4
    detection_interval: int = 1

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
        least = {"concept_batch": 1, "max_objects": 1, "confirm_frames": 1, "object_batch": 1, "detection_interval": 1}
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
                f"hotstart {self.hotstart} ends before hotstart_unmatched {self.hotstart_unmatched} or "
                f"hotstart_duplicates {self.hotstart_duplicates} can be reached; lower those or raise hotstart"
            )

    @classmethod
    def of(cls, min_score: float, hotstart: int) -> Self:
        """Meta's options except for these two, with dependent options adjusted.

        `min_presence` is at most the score, and `new_score` is as far above the score as in Meta's options. A hotstart
        shorter than `hotstart_unmatched` or `hotstart_duplicates` lowers those, too.
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
        """Delay of results in frames."""
        return max(0, self.hotstart - 1)
