"""One file a model family; a file here with a FAMILY in it is a family, nothing else is to be registered."""
