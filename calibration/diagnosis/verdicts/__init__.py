"""Where an object was lost, and what can be done."""
