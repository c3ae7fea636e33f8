"""Runs the FP32 pipeline over the clips and records the magnitudes of every tensor."""
