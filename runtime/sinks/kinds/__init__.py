"""Kinds of output, one light file each. Every file with a `SINK` is found by itself."""
