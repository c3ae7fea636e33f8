"""What each stage computes in the checkpoint's own modules, for parity."""
