"""One light file per kind of output, with a `SINK` in it; a file here is found by itself."""
