"""Arrays without a model: geometry, resizing, drawing, palettes, cleaning and packing of masks."""
