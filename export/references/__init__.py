"""References for parity: each stage computed by the checkpoint's own modules."""
