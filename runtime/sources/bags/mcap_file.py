"""MCAP files, by mcap's own library. Topics of other encodings (protobuf, JSON) may be in the file, too."""

import os
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from masklet.runtime.errors import MaskletWarning
from masklet.runtime.sources.bags.topic import Topic

_FOOTER = struct.Struct("<QQI")  # start of the summary, start of its offsets, CRC of all from the start to here
_MAGIC_BYTES = 8  # after the footer
_CRC_BYTES = 4


class McapFile:
    """An open MCAP file, whose CRCs are checked.

    One that was cut off, as by a loss of power, or whose index is damaged is read as far as it goes, in stored order.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        from mcap.reader import make_reader

        self._file = file
        self._reader = make_reader(file, validate_crcs=True)
        try:
            _check_summary(file)
            self._summary = self._reader.get_summary()
        except Exception:  # whatever the bytes at the end of a truncated file lead to
            self._summary = None
        self._cut = self._summary is None or self._summary.statistics is None
        self._topics = self._scanned() if self._cut else self._listed()
        if self._cut and self._topics:
            total = sum(topic.count for topic in self._topics)
            warnings.warn(
                f"{name}: was cut off, or its index is damaged; {total} messages of it are read",
                MaskletWarning,
                stacklevel=2,
            )

    def topics(self) -> list[Topic]:
        return self._topics

    @property
    def reversible(self) -> bool:
        """By the index of chunks at the end of the file."""
        return not self._cut and bool(self._summary.chunk_indexes)

    def messages(self, topic: Topic, *, reverse: bool = False) -> Iterator[tuple[int, bytes]]:
        found = self._whole() if self._cut else self._reader.iter_messages([topic.name], reverse=reverse)
        yield from ((message.log_time, message.data) for _, channel, message in found if channel.topic == topic.name)

    def _listed(self) -> list[Topic]:
        summary: Any = self._summary
        counts = summary.statistics.channel_message_counts
        return _topics(Counter({_key(summary.schemas, one): counts.get(n, 0) for n, one in summary.channels.items()}))

    def _scanned(self) -> list[Topic]:
        return _topics(Counter((channel.topic, _type(schema, channel)) for schema, channel, _ in self._whole()))

    def _whole(self) -> Iterator[tuple[Any, Any, Any]]:
        """Every message up to the first that is damaged."""
        from mcap.reader import NonSeekingReader

        self._file.seek(0)
        try:
            yield from NonSeekingReader(self._file, validate_crcs=True).iter_messages(log_time_order=False)
        except Exception:  # as above
            return


@contextmanager
def open_mcap(path: Path, name: str) -> Iterator[McapFile]:
    """Open an MCAP file. name: for warnings."""
    with path.open("rb") as file:
        yield McapFile(file, name)


def _check_summary(file: IO[bytes]) -> None:
    """Raise ValueError if the index at the end of the file is not what was written; mcap's reader does not look."""
    file.seek(-_FOOTER.size - _MAGIC_BYTES, os.SEEK_END)
    start, _, crc = _FOOTER.unpack(file.read(_FOOTER.size))
    if start and crc:
        file.seek(start)
        if zlib.crc32(file.read()[: -_CRC_BYTES - _MAGIC_BYTES]) != crc:
            raise ValueError("the CRC of the summary differs")


def _key(schemas: Any, channel: Any) -> tuple[str, str]:
    return channel.topic, _type(schemas.get(channel.schema_id), channel)


def _type(schema: Any, channel: Any) -> str:
    """The type of a channel's messages; of those that are not ROS 2's, with their encoding."""
    name = "" if schema is None else str(schema.name)
    return name if channel.message_encoding == "cdr" else f"{name} ({channel.message_encoding})"


def _topics(counts: "Counter[tuple[str, str]]") -> list[Topic]:
    return [Topic(name, kind, count) for (name, kind), count in sorted(counts.items())]
