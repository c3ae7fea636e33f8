"""Outputs of a run: JSON lines, palette PNGs, overlay video."""
