"""The presentation times of the frames of a video file, read from its packets without decoding."""

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

    times:      [N] int64, ascending: frame i is shown at times[i]. Empty if packets have no time (raw H.264).
    key_frames: indices of the frames at which decoding can start, ascending.
    key_starts: position to seek to for each of them: its decoding time, since some containers index by that.
    count:      number of packets of frames that are shown.
    hidden:     number of packets of frames that an edit list leaves out.
    """

    times: npt.NDArray[np.int64]
    key_frames: list[int]
    key_starts: list[int]
    count: int
    hidden: int

    def index(self, pts: int | None, last: int) -> int:
        """The index of a decoded frame; the one after `last` if its time is unknown."""
        if pts is None or not len(self.times):
            return last + 1
        return int(np.searchsorted(self.times, pts))

    def seek_target(self, frame: int) -> int | None:
        """The position to seek to before decoding the frame; None for the start of the file."""
        key = bisect_right(self.key_frames, frame) - 1
        return self.key_starts[key] if key > 0 else None


def read_packets(container: InputContainer) -> Iterator[Packet[VideoStream]]:
    """The packets of the first video track, to the end or to where the file is truncated."""
    from av.error import FFmpegError

    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, IndexError):  # PyAV: IndexError for a packet of a track that the header does not list
            return
        if packet is None:
            return
        if packet.size:  # an empty packet marks the end for the decoder
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
