"""The runtime: bundles, sessions, prompts, memory, tracking. numpy, OpenCV and an inference engine; never torch.

    from masklet.runtime import Bundle, Points, VideoTracker, open_source

Names are loaded when they are first used, so that the command line starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masklet.runtime.backends.session import SessionAround as SessionAround
    from masklet.runtime.backends.sessions import Sessions as Sessions
    from masklet.runtime.bundle.bundle import Bundle as Bundle
    from masklet.runtime.concepts.concept import Concept as Concept
    from masklet.runtime.concepts.concept import Exemplar as Exemplar
    from masklet.runtime.concepts.options import ConceptOptions as ConceptOptions
    from masklet.runtime.concepts.predictor import ConceptPredictor as ConceptPredictor
    from masklet.runtime.concepts.tracker import ConceptTracker as ConceptTracker
    from masklet.runtime.errors import MaskletError as MaskletError
    from masklet.runtime.prompts.prompts import Box as Box
    from masklet.runtime.prompts.prompts import Mask as Mask
    from masklet.runtime.prompts.prompts import Points as Points
    from masklet.runtime.results import Finding as Finding
    from masklet.runtime.results import Frame as Frame
    from masklet.runtime.results import FrameResult as FrameResult
    from masklet.runtime.segmentation.everything import Everything as Everything
    from masklet.runtime.segmentation.everything import EverythingOptions as EverythingOptions
    from masklet.runtime.segmentation.image_predictor import ImagePredictor as ImagePredictor
    from masklet.runtime.segmentation.image_predictor import Prediction as Prediction
    from masklet.runtime.sinks.json_lines import MasksJsonl as MasksJsonl
    from masklet.runtime.sinks.mask_pngs import MaskPngs as MaskPngs
    from masklet.runtime.sinks.overlay_video import OverlayVideo as OverlayVideo
    from masklet.runtime.sources.opening import open_source as open_source
    from masklet.runtime.sources.source import FeedOptions as FeedOptions
    from masklet.runtime.sources.source import Source as Source
    from masklet.runtime.startup.backend_choice import BackendChoice as BackendChoice
    from masklet.runtime.tracking.video_tracker import TrackerOptions as TrackerOptions
    from masklet.runtime.tracking.video_tracker import VideoTracker as VideoTracker

_HOME = {
    "Bundle": "bundle.bundle",
    "Concept": "concepts.concept",
    "ConceptOptions": "concepts.options",
    "ConceptPredictor": "concepts.predictor",
    "ConceptTracker": "concepts.tracker",
    "Exemplar": "concepts.concept",
    "MaskletError": "errors",
    "ImagePredictor": "segmentation.image_predictor",
    "Box": "prompts.prompts",
    "Mask": "prompts.prompts",
    "Points": "prompts.prompts",
    "Frame": "results",
    "FrameResult": "results",
    "Sessions": "backends.sessions",
    "MaskPngs": "sinks.mask_pngs",
    "MasksJsonl": "sinks.json_lines",
    "OverlayVideo": "sinks.overlay_video",
    "open_source": "sources.opening",
    "TrackerOptions": "tracking.video_tracker",
    "VideoTracker": "tracking.video_tracker",
    "BackendChoice": "startup.backend_choice",
    "SessionAround": "backends.session",
    "Everything": "segmentation.everything",
    "EverythingOptions": "segmentation.everything",
    "Prediction": "segmentation.image_predictor",
    "FeedOptions": "sources.source",
    "Source": "sources.source",
    "Finding": "results",
}
__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    __version__: str
else:  # a type checker would take any name that it does not know for this function's

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("masklet")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
