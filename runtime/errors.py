"""The errors that a user sees. Each is one line: what was given, what was expected, what to do."""


class MaskletError(Exception):
    """Base class of all errors. The command line prints the message as one line and exits with code 2."""


class SpecError(MaskletError):
    """A tensor, stage or model declaration is inconsistent, or inputs do not match it."""


class BundleError(MaskletError):
    """A bundle on disk is missing, truncated, altered, or has an unknown schema."""


class SessionError(MaskletError):
    """A backend cannot open or run a stage."""


class PromptError(MaskletError):
    """A prompt cannot be parsed, or does not fit the frame or the tracked objects."""


class PolicyError(MaskletError):
    """A memory policy is unknown, has an option out of range, or cannot be served by the model."""


class SourceError(MaskletError):
    """Frames cannot be read from a source."""


class MasksError(MaskletError):
    """Masks on disk, written or true ones, cannot be read."""


class SinkError(MaskletError):
    """Results cannot be written."""


class StateError(MaskletError):
    """A run cannot be resumed from a saved state."""


class ExportError(MaskletError):
    """A checkpoint cannot be exported, or an exported graph differs from it."""


class CalibrationError(MaskletError):
    """A bundle cannot be calibrated with the given clips, or would lose more accuracy than allowed."""


class MaskletWarning(UserWarning):
    """Something that a user should know and that ends nothing, one line."""
