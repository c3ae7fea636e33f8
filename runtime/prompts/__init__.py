"""Prompts: points, boxes and masks, their command line syntax, and the frames on which they are given."""
