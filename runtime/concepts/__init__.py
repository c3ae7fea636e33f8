"""Phrases and exemplars: finds the instances of a concept in images and tracks them through videos (SAM 3)."""
