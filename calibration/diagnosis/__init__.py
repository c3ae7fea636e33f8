"""Where a model loses an object: its stages observed at five positions, over clips with true masks."""
