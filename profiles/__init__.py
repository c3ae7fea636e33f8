"""Latency, memory and device figures of a bundle, and what to build for which device."""
