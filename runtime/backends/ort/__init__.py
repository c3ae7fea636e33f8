"""ONNX Runtime: sessions on the CPU and on its execution providers."""
