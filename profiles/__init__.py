"""Measures latency and memory of a bundle, stage by stage, and describes the device."""
