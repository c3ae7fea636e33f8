"""Traces torch modules to ONNX graphs, and rewrites graphs for inference engines."""
