"""Cameras and streams that run for weeks: capture, several at once, state across restarts, status for operators."""
