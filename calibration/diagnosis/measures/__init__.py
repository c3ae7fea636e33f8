"""What is measured at a position: read-outs, distances, attention."""
