"""Makes FP16 and INT8 versions of a bundle and measures their loss of accuracy."""
