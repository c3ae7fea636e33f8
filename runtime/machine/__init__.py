"""The machine that this runs on: files of its kernel, and commands."""
