"""Exports torch checkpoints to one ONNX graph per stage. Only this package imports torch and transformers."""
