"""Which stages and parts can be at a lower precision."""
