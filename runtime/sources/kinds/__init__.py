"""Kinds of source, one light file each. Every file with a `SOURCE` is found by itself; readers are loaded when used."""
