"""Phrases and exemplars: a concept is found in images, and its instances are followed through videos (SAM 3)."""
