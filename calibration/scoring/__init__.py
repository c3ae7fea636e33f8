"""Accuracy of masks, frame by frame: J, F, J&F, and IoU with FP32."""
