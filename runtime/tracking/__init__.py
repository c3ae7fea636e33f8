"""VideoTracker and what it remembers of each object."""
