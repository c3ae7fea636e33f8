"""Finds the stages and parts that can have a lower precision."""
