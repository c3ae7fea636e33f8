"""Torch modules to ONNX graphs, and how graphs are rewritten for an engine."""
