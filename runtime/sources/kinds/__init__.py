"""One light file per kind of source, with a `SOURCE` in it; a file here is found by itself. Readers load when used."""
