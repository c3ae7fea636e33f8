"""Streams that run for weeks: threads for capture, tracking and writing; state, restarts, log and metrics."""
