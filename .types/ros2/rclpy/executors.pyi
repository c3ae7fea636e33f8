class ExternalShutdownException(Exception): ...  # noqa: N818
