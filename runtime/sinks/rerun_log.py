"""What Rerun's viewer shows of a run: frames and masks, and scores and latencies as series over time."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.id_image import MOST_ID, id_image
from masklet.runtime.pixels.overlay import colour
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.kind import StagesSince
from masklet.runtime.sinks.output_file import check_writable

DEFAULT_PORT = 9876  # of `rerun`
PATIENCE_S = 3.0
QUALITY = 80  # of the pictures' JPEG


def record(path: Path) -> Any:
    """A recording that is written to a file. Raises SinkError where it cannot be."""
    rerun = _rerun()
    check_writable(path)
    recording = rerun.RecordingStream("masklet")
    try:
        recording.save(str(path))
    except Exception as error:  # rerun raises its bindings' own
        raise SinkError(f"{path}: cannot be written: {' '.join(str(error).split())}") from None
    return recording


def connect(host: str) -> Any:
    """A recording that is sent to the viewer at HOST[:PORT]. Raises SinkError where nobody listens there."""
    rerun = _rerun()
    place = urlsplit(f"//{host}")
    try:
        name, port = place.hostname or "", place.port or DEFAULT_PORT
        socket.create_connection((name, port), PATIENCE_S).close()
    except (OSError, ValueError) as error:
        raise SinkError(
            f"--rerun {host}: no viewer answers there ({error}); start `rerun` there, or name a FILE.rrd"
        ) from None
    recording = rerun.RecordingStream("masklet")
    recording.connect_grpc(f"rerun+http://{f'[{name}]' if ':' in name else name}:{port}/proxy")
    return recording


class RerunLog(Closing):
    """Logs under `frame` the picture, ids as a segmentation, and boxes; under `score/ID` and `stage/NAME` series.

    Series are over `frame`, the source's index, and `time`, its own. Where masks overlap, the object with the higher
    score has the pixel. stages: latencies of stages by frame; each frame is given those that were known by then.
    """

    def __init__(self, recording: Any, stages: StagesSince) -> None:
        self._recording, self._stages = recording, stages
        self._rerun = _rerun()
        self._labels: dict[int, str] = {}
        self._staged = 0
        recording.send_blueprint(self._blueprint())

    def write(self, frame: Frame, result: FrameResult) -> None:
        rerun, log = self._rerun, self._recording.log
        self._recording.set_time("frame", sequence=frame.index)
        self._recording.set_time("time", duration=frame.time_s)
        _, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )
        log("frame", rerun.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"))
        self._log_labels(result)
        log("frame/masks", rerun.SegmentationImage(id_image(result)))
        seen = np.flatnonzero(result.boxes_xyxy[:, 2] > result.boxes_xyxy[:, 0])
        ids = result.object_ids[seen]
        boxes = rerun.Boxes2D(array=result.boxes_xyxy[seen], array_format=rerun.Box2DFormat.XYXY, class_ids=ids)
        log("frame/boxes", boxes)
        for object_id, score in zip(result.object_ids.tolist(), result.scores.tolist(), strict=True):
            log(f"score/{object_id}", rerun.Scalars(score))
        for number, stages in self._stages(self._staged)[-1:]:
            self._staged = number
            for name, ms in stages.items():
                log(f"stage/{name}", rerun.Scalars(ms))

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.disconnect()

    def _log_labels(self, result: FrameResult) -> None:
        """Tell the viewer names and colours of objects that it does not know yet."""
        rerun, known = self._rerun, len(self._labels)
        for row, object_id in enumerate(result.object_ids.tolist()):
            phrase = result.findings[row].phrase if result.findings else None
            self._labels.setdefault(object_id, f"{object_id} {phrase}" if phrase else str(object_id))
        if len(self._labels) > known:
            infos = [(i, label, colour(i)) for i, label in self._labels.items() if i <= MOST_ID]
            self._recording.log("frame", rerun.AnnotationContext([(0, "", (0, 0, 0, 0)), *infos]), static=True)

    def _blueprint(self) -> Any:
        """The picture, beside it the series."""
        import rerun.blueprint as views

        series = views.Vertical(
            views.TimeSeriesView(name="scores", origin="score"),
            views.TimeSeriesView(name="milliseconds of stages", origin="stage"),
        )
        picture = views.Spatial2DView(name="frames", origin="frame")
        return views.Blueprint(views.Horizontal(picture, series, column_shares=[2, 1]), collapse_panels=True)


def _rerun() -> Any:
    try:
        import rerun
    except ImportError:
        raise SinkError("--rerun needs rerun-sdk; pip install 'masklet[rerun]'") from None
    return rerun
