"""What can go wrong for a user. Each error is one line that names what was given, what was wanted, what to do."""


class MaskletError(Exception):
    """Base of every error that the command line prints as one line and ends with exit code 2."""


class SpecError(MaskletError):
    """A tensor, stage or model is declared or fed inconsistently."""


class BundleError(MaskletError):
    """A bundle on disk is missing, truncated, altered or of an unknown schema."""


class SessionError(MaskletError):
    """A stage cannot be opened or run by a backend."""


class PromptError(MaskletError):
    """A prompt cannot be understood, or does not fit the frame or the tracked objects."""


class PolicyError(MaskletError):
    """A memory policy is unknown, has an option out of range, or cannot be served by the model."""


class SourceError(MaskletError):
    """Frames cannot be read from a source."""


class SinkError(MaskletError):
    """Results cannot be written."""


class StateError(MaskletError):
    """A saved state cannot be gone on with."""


class ExportError(MaskletError):
    """A checkpoint cannot be exported, or its graphs do not agree with it."""


class CalibrationError(MaskletError):
    """A bundle cannot be calibrated on what was given, or loses more accuracy than it may."""
