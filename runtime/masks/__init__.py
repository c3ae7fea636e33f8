"""Masks on disk by frame and object: those that a run wrote, and true ones."""
