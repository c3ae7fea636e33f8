"""Single images: prompted masks, and every mask without a prompt."""
