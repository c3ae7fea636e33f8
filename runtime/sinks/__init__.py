"""Where results go: JSON lines, palette PNGs, overlay video."""
