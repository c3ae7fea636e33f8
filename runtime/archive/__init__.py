"""Archives: many videos on many workers of a Ray cluster, one result set each."""
