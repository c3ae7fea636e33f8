"""A latency budget in, the best settings out: knobs, their cost in time and accuracy, a search, reports."""
