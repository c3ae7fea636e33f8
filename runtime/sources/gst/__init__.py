"""Sources read by GStreamer's own Python bindings: pipelines from the elements that are installed, into an appsink."""
