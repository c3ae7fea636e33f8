"""Options that several commands share, each declared once, in groups that arrive as one typed object."""

from masklet.runtime.cli.options.backend import BackendOptions
from masklet.runtime.cli.options.bundle import BundleFolder, BundleOptions, NoHashes
from masklet.runtime.cli.options.frames import CameraOptions, FrameOptions, ReversibleFrameOptions
from masklet.runtime.cli.options.memory import MemoryOption, MemoryOptions, SpeedOptions, UpdateOptions
from masklet.runtime.cli.options.outputs import OutputOptions
from masklet.runtime.cli.options.prompts import (
    FollowedPhraseOptions,
    PhraseOptions,
    PromptOptions,
    StreamedPhraseOptions,
)
from masklet.runtime.cli.options.streams import StreamOptions
from masklet.runtime.cli.options.workers import SegmentOptions, WorkerOptions

__all__ = [
    "BackendOptions",
    "BundleFolder",
    "BundleOptions",
    "CameraOptions",
    "FollowedPhraseOptions",
    "FrameOptions",
    "MemoryOption",
    "MemoryOptions",
    "NoHashes",
    "OutputOptions",
    "PhraseOptions",
    "PromptOptions",
    "ReversibleFrameOptions",
    "SegmentOptions",
    "SpeedOptions",
    "StreamOptions",
    "StreamedPhraseOptions",
    "UpdateOptions",
    "WorkerOptions",
]
