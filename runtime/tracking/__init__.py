"""VideoTracker, the memory bank and the memory policies."""
