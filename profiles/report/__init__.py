"""A profile as data, HTML page, terminal tree, trace and comparison."""
