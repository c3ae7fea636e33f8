"""The five positions of a model, and the sessions that see what is there."""
