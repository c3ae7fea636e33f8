"""Which backend runs which stage: candidates are timed on the run's own feeds, and the choice is kept."""
