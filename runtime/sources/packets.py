"""When the frames of a video file are shown, read from its packets without decoding any."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class PacketTable:
    """The times of a track's packets, in units of its time base.

    times:      [N] int64, ascending: frame i is shown at times[i]. Empty where packets carry no time (raw
                H.264).
    key_frames: indices of the frames at which decoding can begin, ascending.
    key_starts: for each of them, where to seek to; its decoding time, as some containers index by that.
    count:      packets of frames that are shown.
    hidden:     packets of frames that an edit list leaves out.
    """

    times: npt.NDArray[np.int64]
    key_frames: list[int]
    key_starts: list[int]
    count: int
    hidden: int

    def index(self, pts: int | None, last: int) -> int:
        """The index of a decoded frame; the one after `last` where its time does not tell."""
        if pts is None or not len(self.times):
            return last + 1
        return int(np.searchsorted(self.times, pts))

    def seek_target(self, frame: int) -> int | None:
        """Where to seek to so that decoding reaches the frame; None for the start of the file."""
        key = bisect_right(self.key_frames, frame) - 1
        return self.key_starts[key] if key > 0 else None


def read_packets(container: InputContainer) -> Iterator[Packet[VideoStream]]:
    """The packets of the first video track, up to the end or to where the file is cut off."""
    from av.error import FFmpegError

    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, IndexError):  # IndexError: PyAV's for a packet of a track that the header does not list
            return
        if packet is None:
            return
        if packet.size:  # an empty one tells a decoder that the end has come
            yield packet


def scan(container: InputContainer) -> PacketTable:
    """Read the times of all packets of the first video track."""
    times: list[int | None] = []
    keys: dict[int, int] = {}
    hidden = 0
    for packet in read_packets(container):
        if packet.is_discard:
            hidden += 1
            continue
        times.append(packet.pts)
        if packet.is_keyframe and packet.pts is not None:
            keys[packet.pts] = packet.pts if packet.dts is None else packet.dts
    known = np.unique(np.array([t for t in times if t is not None], np.int64))
    if len(known) != len(times):
        return PacketTable(np.zeros(0, np.int64), [], [], len(times), hidden)
    shown = sorted(keys)
    return PacketTable(known, np.searchsorted(known, shown).tolist(), [keys[t] for t in shown], len(times), hidden)
