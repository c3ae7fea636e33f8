"""Work done once, before the first frame: choice of the backend, check of its engines, check of the request."""
