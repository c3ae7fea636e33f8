"""What a bundle is calibrated and judged on: clips, prompts and true masks."""
