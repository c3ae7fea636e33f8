"""The evidence: data, HTML page and terminal tables."""
