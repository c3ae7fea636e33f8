"""A profile as a trace for Perfetto or chrome://tracing: one track per phase and stage, and counters.

Format: "Trace Event Format", Google, 2016. Times are microseconds from the start of the first frame.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from masklet.profiles.recording.phases import CAPTURE, SINK, order, spans
from masklet.profiles.recording.timeline import FrameTimes

Event = dict[str, Any]
PROCESS = 1
FRAMES = "frames"  # the track of whole frames


def trace(frames: Sequence[FrameTimes], stages: Sequence[str], warmup: int, name: str) -> bytes:
    """The trace as JSON. frames: warm-up and measured ones; name: name of the process in the viewer."""
    tracks = {track: number for number, track in enumerate((FRAMES, *order(stages)), start=1)}
    origin_ns = frames[0].asked_ns if frames else 0
    events: list[Event] = [_metadata("process_name", 0, {"name": name})]
    for track, number in tracks.items():
        events.append(_metadata("thread_name", number, {"name": track}))
        events.append(_metadata("thread_sort_index", number, {"sort_index": number}))
    for position, frame in enumerate(frames):
        events += _slices(frame, tracks, origin_ns, position < warmup)
        events += _counters(frame, origin_ns)
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms"})


def _slices(frame: FrameTimes, tracks: dict[str, int], origin_ns: int, warmup: bool) -> Iterator[Event]:
    """The frame with capture, step and sink on one track, and every span on a track of its own."""
    top = tracks[FRAMES]
    label = f"frame {frame.index}" + (" (warm-up)" if warmup else "")
    yield _slice(label, frame.asked_ns, frame.done_ns, top, origin_ns, {"objects": frame.objects})
    parts = (CAPTURE, frame.asked_ns, frame.captured_ns), ("step", frame.captured_ns, frame.masks_ns)
    for name, began_ns, ended_ns in (*parts, (SINK, frame.masks_ns, frame.done_ns)):
        yield _slice(name, began_ns, ended_ns, top, origin_ns, {})
    for span in spans(frame):
        yield _slice(span.name, span.began_ns, span.ended_ns, tracks[span.name], origin_ns, dict(span.sizes or {}))


def _counters(frame: FrameTimes, origin_ns: int) -> Iterable[Event]:
    """Counters; viewers show each under its name and its unit."""
    found: dict[tuple[str, str], float] = {
        ("objects", "count"): frame.objects,
        ("memory frames", "count"): frame.memories,
    }
    if frame.rss_bytes is not None:
        found["RSS", "MB"] = frame.rss_bytes / 1e6
    shared = {"ph": "C", "pid": PROCESS, "tid": 0, "ts": (frame.done_ns - origin_ns) / 1e3}
    return [{**shared, "name": name, "args": {unit: value}} for (name, unit), value in found.items()]


def _slice(name: str, began_ns: int, ended_ns: int, tid: int, origin_ns: int, args: dict[str, int]) -> Event:
    ts, end = (began_ns - origin_ns) / 1e3, (ended_ns - origin_ns) / 1e3
    dur = end - ts
    if ts + dur > end:  # through rounding; in a viewer that adds both, a span would then end after the one around it
        dur = math.nextafter(dur, 0.0)
    return {"ph": "X", "name": name, "cat": "masklet", "pid": PROCESS, "tid": tid, "ts": ts, "dur": dur, "args": args}


def _metadata(kind: str, tid: int, args: dict[str, Any]) -> Event:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": tid, "ts": 0, "args": args}
