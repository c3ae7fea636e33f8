"""Graphs at lower precision: FP16 and INT8."""
