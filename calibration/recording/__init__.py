"""The FP32 pipeline over the clips, with every tensor's magnitudes."""
