"""Accuracy: J, F, J&F, IoU with FP32, frame by frame."""
