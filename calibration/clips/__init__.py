"""The clips, prompts and true masks that a bundle is calibrated and evaluated on."""
