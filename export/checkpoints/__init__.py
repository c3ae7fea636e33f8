"""Checkpoints: transformers' own, and files in the names of a model's authors, read safely and recognised."""
