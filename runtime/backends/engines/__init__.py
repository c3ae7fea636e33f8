"""One light file per backend, with a `BACKEND` in it; found by itself. Engines are imported when used."""
