"""Backends, one light file each. Every file with a `BACKEND` is found by itself; engines are imported when used."""
