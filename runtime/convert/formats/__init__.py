"""One file per format, with a `FORMAT` in it; a file here is found by itself."""
