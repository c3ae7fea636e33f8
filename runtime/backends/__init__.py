"""Backends: each opens the stages of a bundle as sessions of one inference engine."""
