"""What a stage costs by its graph, and how close it comes to the limit."""
