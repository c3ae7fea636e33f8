"""Cost of a stage from its graph, the roofline, and growth with objects and memory."""
