"""Builds TensorRT engines from the graphs of a bundle. Imports no torch: engines are built on the target device."""
