"""The profile report: data, HTML page, terminal tree, trace and comparison."""
