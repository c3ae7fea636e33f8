"""Threads and restarts: capture, tracking and writing of streams that run for weeks."""
