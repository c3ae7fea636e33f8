"""Recording: runs the FP32 pipeline over all clips and saves tensor magnitudes, masks, and real stage inputs.

Except for the masks (one line per frame on disk), the recording does not grow with the clips: it has histograms, and
the inputs of a few frames that differ, chosen with equal probability. It is saved regularly in a folder; the same
recording, started again, resumes there.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.clips.clips import Clip, check_phrases
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.graphs.ranges import Magnitudes
from masklet.calibration.progress import Tell
from masklet.calibration.recording.instrumented_sessions import InstrumentedBackend, Statistics, Strides
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import MANIFEST
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import CalibrationError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.streams.message_pack import pack, unpack
from masklet.runtime.tracking.snapshot import TrackerSnapshot
from masklet.runtime.tracking.tracker import Pending

KEPT_FRAMES = 16  # frames whose stage inputs are kept
SAVE_EVERY = 50  # frames
DIFFERS = 0.01  # minimum mean difference of two thumbnails, as a share of the channel range, for different frames
THUMBNAIL = (16, 16)
STATE = "state"

F32 = npt.NDArray[np.float32]


class _Seen(msgspec.Struct):
    """`Magnitudes` as plain data."""

    largest: float
    top: float
    counts: npt.NDArray[np.int64]


class _State(msgspec.Struct):
    """The position of a recording: after `frames` frames of clip `clip`.

    masks_bytes: size of the clip's masks file so far.
    differed:    number of frames that differed from those kept before.
    """

    key: str
    clip: int = 0
    frames: int = 0
    masks_bytes: int = 0
    tracker: TrackerSnapshot | None = None
    differed: int = 0
    thumbnails: list[npt.NDArray[np.float32]] = []
    statistics: dict[str, dict[str, _Seen]] = {}
    strides: dict[str, Strides] = {}


@dataclass(frozen=True)
class Recording:
    """A finished recording. statistics: magnitudes by stage and tensor; a stage that was not run has none."""

    folder: Path
    statistics: dict[str, Statistics]
    frames: int

    def masks(self, clip: int) -> MaskLines:
        """The FP32 pipeline's masks of a clip."""
        return MaskLines(_masks_path(self.folder, clip))

    def feeds(self, stage: str, most: int) -> Iterator[dict[str, Tensor]]:
        """At most `most` recorded inputs of a stage, evenly spread over the kept ones; read one at a time."""
        paths = sorted(self.folder.glob(f"feeds/*/*-{stage}.npz"))
        for path in paths[:: -(-len(paths) // most) or 1]:
            with np.load(path) as stored:
                yield dict(stored)


def record(
    bundle: Bundle, clips: Sequence[Clip], folder: Path, *, seed: int, threads: int | None, progress: Tell
) -> Recording:
    """Run the clips, or the rest of them, and record them in a folder.

    Raises CalibrationError if a prompt or a phrase finds nothing, a source has no frame, or a number is not finite.
    """
    key = _key(bundle, clips, seed)
    state = _load(folder, key)
    backend = InstrumentedBackend(
        threads, {stage: _statistics(seen) for stage, seen in state.statistics.items()}, state.strides
    )
    try:
        (folder / "feeds").mkdir(parents=True, exist_ok=True)
        keeper = FeedKeeper(folder / "feeds", seed, state.differed, state.thumbnails)
        with Sessions.open(bundle, backend, keeper.wrap) as sessions:
            while state.clip < len(clips):
                _record_clip(sessions, backend, keeper, clips, folder, state, progress)
    except OSError as error:
        raise CalibrationError(f"{folder}: the recording cannot be written: {error.strerror or error}") from None
    recording = Recording(folder, backend.statistics, _count(folder, len(clips)))
    check_phrases(clips, [recording.masks(number) for number in range(len(clips))])
    return recording


class FeedKeeper:
    """Keeps the stage inputs of a bounded number of frames on disk: a seeded reservoir sample of differing frames."""

    def __init__(self, folder: Path, seed: int, differed: int = 0, thumbnails: Sequence[F32] = ()) -> None:
        self.differed = differed
        self.thumbnails = list(thumbnails)
        self._folder = folder
        self._seed = seed
        self._slot: Path | None = None
        self._calls = 0

    def wrap(self, session: Session) -> "KeptSession":
        """Keep the inputs of a session's calls; pass this to `Sessions.open`."""
        return KeptSession(session, self)

    def begin(self, clip: int) -> None:
        """Keep the inputs of calls before the first frame of the first clip, in which phrases are encoded."""
        self._slot, self._calls = None if clip else self._folder / "start", 0

    def see(self, frame: Frame) -> None:
        """Decide whether to keep the inputs of the calls for this frame."""
        self._slot, self._calls = None, 0
        small = cv2.resize(frame.image, THUMBNAIL, interpolation=cv2.INTER_AREA)
        thumbnail: F32 = np.asarray(small, np.float32) / np.float32(255)
        if any(float(np.abs(thumbnail - other).mean()) < DIFFERS for other in self.thumbnails):
            return
        self.differed += 1
        slot = len(self.thumbnails)
        if slot == KEPT_FRAMES:
            slot = int(np.random.default_rng([self._seed, self.differed]).integers(self.differed))
            if slot >= KEPT_FRAMES:
                return
        self.thumbnails[slot : slot + 1] = [thumbnail]
        self._slot = self._folder / f"{slot:03d}"
        shutil.rmtree(self._slot, ignore_errors=True)

    def keep(self, stage: str, feeds: Feeds) -> None:
        """Store the inputs of a call if its frame is kept."""
        if self._slot is not None:
            self._slot.mkdir(exist_ok=True)
            np.savez(self._slot / f"{self._calls:02d}-{stage}.npz", **feeds)  # type: ignore[arg-type]
            self._calls += 1


class KeptSession(SessionAround):
    """A session that passes its inputs to a keeper before it runs them."""

    def __init__(self, session: Session, keeper: FeedKeeper) -> None:
        super().__init__(session)
        self._keeper = keeper

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._keeper.keep(self.spec.name, feeds)
        return super().run(feeds)


def _record_clip(
    sessions: Sessions,
    backend: InstrumentedBackend,
    keeper: FeedKeeper,
    clips: Sequence[Clip],
    folder: Path,
    state: _State,
    progress: Tell,
) -> None:
    clip, number = clips[state.clip], state.clip
    keeper.begin(number)
    tracker = clip.tracker(sessions, state.tracker)
    done, what = 0, f"recording {number + 1} of {len(clips)}"
    sink = MasksJsonl(_masks_path(folder, number), keep=state.masks_bytes or None)

    def write(due: Sequence[Pending]) -> None:
        for each in due:
            result = each.result()
            _check_found(clip, result)
            sink.write(each.frame, result)

    with clip.open() as source, sink:
        for done, frame in enumerate(source, start=1):
            if done <= state.frames:
                continue
            keeper.see(frame)
            write(tracker.advance(frame, clip.schedule.get(frame.index)))
            progress(what, done, source.frames)
            if done % SAVE_EVERY == 0 and not clip.concepts:  # clips with concepts cannot be resumed; they restart
                state.frames, state.masks_bytes, state.tracker = done, sink.written, tracker.snapshot()
                _save(folder, state, backend, keeper)
        write(tracker.late())
    if not done:
        raise CalibrationError(f"{clip.source}: has no frame to calibrate on")
    state.clip, state.frames, state.masks_bytes, state.tracker = number + 1, 0, 0, None
    _save(folder, state, backend, keeper)


def _check_found(clip: Clip, result: FrameResult) -> None:
    seen = {i for i, mask in zip(result.object_ids.tolist(), result.masks, strict=True) if mask.any()}
    for object_id in sorted(clip.schedule.get(result.frame_index, {}).keys() - seen):
        raise CalibrationError(
            f"{clip.source}: the prompt of object {object_id} on frame {result.frame_index} gives an empty mask, which "
            "cannot be compared; prompt the object where it is visible"
        )


def _key(bundle: Bundle, clips: Sequence[Clip], seed: int) -> str:
    """A hash of everything that a recording depends on."""
    manifest = (bundle.root / MANIFEST).read_bytes()
    asked: list[Any] = [
        [clip.source, _stamp(clip.source), clip.schedule, clip.cut, clip.concepts, clip.found_with] for clip in clips
    ]
    return hashlib.sha256(manifest + pack([asked, seed, KEPT_FRAMES])).hexdigest()


def _stamp(source: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a source's files."""
    path = Path(source)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def _load(folder: Path, key: str) -> _State:
    """The state of a recording with the same key; a new state if there is none."""
    try:
        state = unpack((folder / STATE).read_bytes(), _State)
    except (OSError, msgspec.MsgspecError):
        return _State(key)
    return state if state.key == key else _State(key)


def _save(folder: Path, state: _State, backend: InstrumentedBackend, keeper: FeedKeeper) -> None:
    state.differed, state.thumbnails = keeper.differed, keeper.thumbnails
    state.statistics = {
        stage: {name: _Seen(each.largest, each.top, each.counts) for name, each in seen.items()}
        for stage, seen in backend.statistics.items()
    }
    beside = folder / f"{STATE}.tmp"
    beside.write_bytes(pack(state))
    os.replace(beside, folder / STATE)


def _statistics(seen: dict[str, _Seen]) -> Statistics:
    return {name: Magnitudes(each.largest, each.top, each.counts) for name, each in seen.items()}


def _masks_path(folder: Path, clip: int) -> Path:
    return folder / f"masks-{clip:03d}.jsonl"


def _count(folder: Path, clips: int) -> int:
    return sum(_masks_path(folder, clip).read_bytes().count(b"\n") for clip in range(clips))
