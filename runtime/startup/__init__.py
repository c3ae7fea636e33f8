"""Done once, before the first frame: the choice of a backend and the check of its engines."""
